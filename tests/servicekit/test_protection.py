"""What every answer tells browsers and caches."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from servicekit.protection import protect
from servicekit.testing import TokenMint
from tests.servicekit.conftest import Kit, serving

PATHS = ("/v1/things/a", "/v1/openapi/test.json", "/health", "/metrics", "/nowhere")


@pytest.fixture
async def by_tls(mint: TokenMint) -> AsyncIterator[Kit]:
    """The service as in production."""
    async with serving(mint, by_tls=True) as kit:
        yield kit


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_no_answer_is_taken_for_anything_but_what_it_says_it_is(
    kit: Kit, method: str, path: str
) -> None:
    response = await kit.client.request(method, path)
    assert response.headers.getall("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize("path", PATHS)
async def test_browsers_are_told_to_keep_to_tls_in_production(by_tls: Kit, path: str) -> None:
    response = await by_tls.client.get(path)
    expected = ["max-age=31536000; includeSubDomains"]
    assert response.headers.getall("Strict-Transport-Security") == expected


async def test_elsewhere_they_are_not(kit: Kit) -> None:
    response = await kit.client.get("/health")
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/things/a"])
async def test_a_read_with_a_token_is_kept_by_nobody_and_one_for_all_may_be(
    kit: Kit, path: str
) -> None:
    response = await kit.client.get(path)
    assert "Cache-Control" not in response.headers
    response = await kit.client.get("/v1/things/a", headers=kit.auth("ana", "patient"))
    assert response.headers.getall("Cache-Control") == ["no-store"]


async def test_an_answer_to_a_body_is_kept_by_nobody(kit: Kit) -> None:
    response = await kit.client.post("/v1/notes", json={"text": "a password, say"})
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"


async def test_a_refusal_that_knows_the_caller_is_kept_by_nobody(kit: Kit) -> None:
    headers = kit.auth("ana", "patient")
    response = await kit.client.get("/v1/contacts/a", headers=headers)
    assert response.status == 403
    assert response.headers["Cache-Control"] == "no-store"


async def test_a_streamed_answer_is_told_too(by_tls: Kit) -> None:
    response = await by_tls.client.get("/v1/stream")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Strict-Transport-Security" in response.headers


async def test_what_says_how_long_it_may_be_kept_is_left_as_it_is() -> None:
    async def lease(_request: web.Request) -> web.Response:
        return web.Response(headers={"Cache-Control": "private, max-age=1"})

    app = web.Application()
    protect(app, by_tls=False)
    app.router.add_post("/", lease)
    async with TestClient(TestServer(app)) as client:
        response = await client.post("/")
        assert response.headers.getall("Cache-Control") == ["private, max-age=1"]
