"""Which pages may call, and that they can read every answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from servicekit.testing import TokenMint
from tests.servicekit.conftest import Kit, serving

PAGE = "https://clinic.example"
OTHER = "http://localhost:3000"
STRANGER = "https://stranger.example"
HEADERS = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary")


@pytest.fixture
async def listed(mint: TokenMint) -> AsyncIterator[Kit]:
    """Pages of two origins may call."""
    async with serving(mint, allowed_origins=(PAGE, OTHER)) as kit:
        yield kit


@pytest.fixture
async def opened(mint: TokenMint) -> AsyncIterator[Kit]:
    """Any page may call."""
    async with serving(mint, allowed_origins=("*",)) as kit:
        yield kit


async def preflight(
    kit: Kit, path: str, method: str = "GET", origin: str = PAGE
) -> aiohttp.ClientResponse:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    asked["Access-Control-Request-Headers"] = "authorization,content-type"
    return await kit.client.options(path, headers=asked)


def said(response: aiohttp.ClientResponse) -> list[str]:
    """The headers of CORS, by name."""
    return sorted(name for name in response.headers if name.startswith("Access-Control-"))


def names(text: str) -> set[str]:
    return set(text.split(", "))


@pytest.mark.parametrize("origin", [PAGE, OTHER])
@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_a_preflight_is_told_what_the_path_has(listed: Kit, origin: str, method: str) -> None:
    response = await preflight(listed, "/v1/things/a", method, origin)
    assert response.status == 204
    assert await response.read() == b""
    assert response.headers["Access-Control-Allow-Origin"] == origin
    # PATCH is none of them: the browser refuses it to the page.
    assert names(response.headers["Access-Control-Allow-Methods"]) == {"GET", "HEAD", "DELETE"}
    assert names(response.headers["Access-Control-Allow-Headers"]) >= {
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
        "X-Request-Id",
        "traceparent",
    }
    assert response.headers["Access-Control-Max-Age"] == "3600"
    assert response.headers["Vary"] == "Origin"
    assert response.headers["X-Request-Id"]
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_a_preflight_needs_no_token_and_is_counted(listed: Kit) -> None:
    for number in range(20):
        response = await preflight(listed, f"/v1/things/a{number}/touch", f"METHOD{number}")
        assert response.headers["Access-Control-Allow-Methods"] == "POST"
    text = await (await listed.client.get("/metrics")).text()
    counts = [line for line in text.splitlines() if line.startswith("http_requests_total")]
    assert counts == ['http_requests_total{route="preflight",status="204"} 20.0']


async def test_a_path_that_is_none_has_no_preflight(listed: Kit) -> None:
    response = await preflight(listed, "/nowhere")
    assert (response.status, (await response.json())["code"]) == (404, "not_found")
    assert "Access-Control-Allow-Methods" not in response.headers


@pytest.mark.parametrize("missing", ["Origin", "Access-Control-Request-Method"])
async def test_options_alone_is_no_preflight(opened: Kit, missing: str) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    del asked[missing]
    response = await opened.client.options("/v1/things/a", headers=asked)
    assert (response.status, (await response.json())["code"]) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "DELETE"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/things/a", 200),
        ("HEAD", "/v1/things/a", 200),
        ("GET", "/v1/stream", 200),
        ("GET", "/v1/openapi/test.json", 200),
        ("POST", "/v1/things", 415),
        ("DELETE", "/v1/things/a", 401),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/things/a", 405),
        ("GET", "/v1/failures/full", 429),
        ("GET", "/v1/failures/boom", 500),
        ("GET", "/v1/failures/away", 503),
        ("GET", "/v1/hang", 503),
    ],
)
async def test_a_page_can_read_whatever_is_answered(
    listed: Kit, method: str, path: str, status: int
) -> None:
    response = await listed.client.request(method, path, headers={"Origin": PAGE})
    assert response.status == status
    assert [response.headers.getall(name, []) for name in HEADERS[::2]] == [[PAGE], ["Origin"]]
    exposed = names(response.headers["Access-Control-Expose-Headers"])
    # Of the headers that some answer has, all but those that the standard always exposes.
    assert exposed == {
        "Allow",
        "ETag",
        "Idempotency-Replayed",
        "Location",
        "Retry-After",
        "WWW-Authenticate",
        "X-Request-Id",
    }
    assert said(response) == ["Access-Control-Allow-Origin", "Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin",
    [
        STRANGER,
        "null",
        "",
        "*",
        f"{PAGE}/",
        f"{PAGE}:443",
        f"{PAGE}.evil.example",
        PAGE.upper(),
        f"{PAGE}, {OTHER}",
        PAGE + "x" * 5000,
        "é",
        None,
    ],
)
async def test_other_pages_get_the_answer_without_leave_to_read_it(
    listed: Kit, kit: Kit, origin: str | None
) -> None:
    asked = {"Origin": origin} if origin is not None else {}
    asks = {**asked, "Access-Control-Request-Method": "GET"}
    for method, path, headers in (
        ("GET", "/v1/things/a", asked),
        ("DELETE", "/v1/things/a", asked),
        ("OPTIONS", "/v1/things/a", asks),
    ):
        got = await listed.client.request(method, path, headers=headers)
        without = await kit.client.request(method, path, headers=headers)
        assert said(got) == []
        # So that no cache keeps this answer for a page that may read it.
        assert got.headers.getall("Vary") == ["Origin"]
        assert (got.status, set(got.headers) - {"Vary"}) == (without.status, set(without.headers))


@pytest.mark.parametrize("origin", [STRANGER, "null", "x" * 5000, None])
async def test_where_any_page_may_call_all_get_the_same(opened: Kit, origin: str | None) -> None:
    asked = {"Origin": origin} if origin is not None else {}
    for path in ("/v1/things/a", "/nowhere", "/v1/stream"):
        response = await opened.client.get(path, headers=asked)
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Vary" not in response.headers
    if origin is not None:
        assert (await preflight(opened, "/v1/things/a", origin=origin)).status == 204


async def test_without_an_origin_to_allow_there_is_no_cors(kit: Kit) -> None:
    asked = await preflight(kit, "/v1/things/a")
    assert (asked.status, (await asked.json())["code"]) == (405, "method_not_allowed")
    got = await kit.client.get("/v1/things/a", headers={"Origin": PAGE})
    for response in (asked, got):
        assert not set(HEADERS) & set(response.headers)


@pytest.mark.parametrize("path", ["/health", "/health/dependencies", "/metrics", "/%68ealth"])
async def test_what_an_instance_says_of_itself_is_for_no_page(opened: Kit, path: str) -> None:
    got = await opened.client.get(path, headers={"Origin": PAGE})
    asked = await preflight(opened, path)
    assert (got.status, asked.status) == (200, 405)
    assert said(got) == said(asked) == []


@pytest.mark.parametrize(
    "line",
    [
        f"{PAGE}\r\n X-Evil: 1",
        f"{PAGE}\nX-Evil: 1",
        f"{PAGE}\rX-Evil: 1",
        f"{PAGE}\0",
    ],
)
async def test_what_breaks_a_header_comes_back_in_none(listed: Kit, line: str) -> None:
    """Byte for byte, since no client writes such a header."""
    server: Any = listed.client.server
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    request = f"GET /v1/things/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: {line}\r\n\r\n"
    writer.write(request.encode())
    head, _, _ = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert head.startswith(b"HTTP/1.0 400 ")
    assert b"Access-Control-" not in head
    assert b"Evil" not in head
