"""Whose token counts, and whom it is shown to: the app over a store in memory."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import timedelta

import jwt
import pytest
from aiohttp.test_utils import TestClient, TestServer

from files_service.app import create_app
from files_service.settings import Settings
from servicekit.testing import FakeClock, TokenMint
from tests.files.conftest import Client, MakePerson
from tests.files.fakes import FakeNeighbours, MemoryStore


@pytest.fixture
def settings(neighbours_url: str) -> Settings:
    return Settings(
        appointments_url=neighbours_url, jwks_url=f"{neighbours_url}/.well-known/jwks.json"
    )


@pytest.fixture
async def client(settings: Settings, clock: FakeClock) -> AsyncIterator[Client]:
    app = create_app(settings, open_store=lambda *_: nullcontext(MemoryStore()), clock=clock)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_appointments_is_asked_with_the_callers_token_and_names(
    person: MakePerson, neighbours: FakeNeighbours
) -> None:
    patient = person("p1", sees=("a1",))

    await patient.call(
        "GET", "/v1/files?appointment_id=a1", headers={"X-Request-Id": "r-1", "Cookie": "a=b"}
    )
    await patient.call("GET", "/v1/files?appointment_id=a1")

    assert neighbours.asked == [("a1", f"Bearer {patient.token}")] * 2  # no answer is remembered
    assert neighbours.headers[0]["X-Request-Id"] == "r-1"
    assert "Cookie" not in neighbours.headers[0]


async def test_a_token_that_appointments_refuses_is_refused(
    person: MakePerson, neighbours: FakeNeighbours
) -> None:
    patient = person("p1", sees=("a1",))
    neighbours.answer = (401, '{"code": "invalid_token"}', "application/problem+json")

    refused = await patient.call("GET", "/v1/files?appointment_id=a1")

    assert (refused.status, (await refused.json())["code"]) == (401, "invalid_token")
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "answer",
    [
        (500, "{}", "application/json"),
        (503, "{}", "application/problem+json"),
        (429, "{}", "application/problem+json"),
        (404, "no such route", "text/plain"),  # a load balancer without targets or rules
        (200, "welcome", "text/html"),
        (200, "{", "application/json"),
        (302, "{}", "application/json"),
        (422, "{}", "application/problem+json"),
    ],
)
async def test_an_answer_that_says_nothing_lets_nobody_in(
    person: MakePerson, neighbours: FakeNeighbours, answer: tuple[int, str, str]
) -> None:
    patient = person("p1", sees=("a1",))
    neighbours.answer = answer

    for method, url in [
        ("GET", "/v1/files?appointment_id=a1"),
        ("GET", "/v1/files/a1/f1"),
        ("GET", "/v1/files/a1/f1/download"),
        ("POST", "/v1/files/a1/f1/complete"),
        ("DELETE", "/v1/files/a1/f1"),
    ]:
        refused = await patient.call(method, url)
        assert refused.status == 503
        assert (await refused.json())["code"] == "appointments_unavailable"
        assert int(refused.headers["Retry-After"]) >= 1
    assert (await patient.announce("a1")).status == 503

    neighbours.answer = None
    assert (await patient.call("GET", "/v1/files?appointment_id=a1")).status == 200


def forged(mint: TokenMint, clock: FakeClock) -> dict[str, str | None]:
    """Tokens that are none, by what is wrong with each; None for no header."""
    good = mint.token("p1", "patient", at=clock())
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    public = mint.jwks["keys"][0]["n"]
    none_head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    other = TokenMint()
    changed = json.dumps(claims | {"sub": "p2"}).encode()
    changed_body = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
    headers = {"typ": "at+jwt", "kid": mint.key_id}
    return {
        "none": None,
        "not a token": "abc",
        "expired": mint.token("p1", "patient", at=clock() - timedelta(hours=1)),
        "altered": f"{head}.{changed_body}.{signature}",
        "cut": f"{head}.{body}.{signature[:-8]}",
        "another issuer": mint.token("p1", "patient", at=clock(), iss="https://evil.example"),
        "another audience": mint.token("p1", "patient", at=clock(), aud="others"),
        "another key": other.token("p1", "patient", at=clock()),
        "alg none": f"{none_head}.{body}.",
        "HS256 by the public key": jwt.encode(claims, public, algorithm="HS256", headers=headers),
    }


async def test_a_bad_token_is_refused_before_anybody_is_asked(
    client: Client, mint: TokenMint, neighbours: FakeNeighbours, clock: FakeClock
) -> None:
    neighbours.answer = (200, "{}", "application/json")
    for fault, token in forged(mint, clock).items():
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        for method, url in [
            ("POST", "/v1/files"),
            ("GET", "/v1/files?appointment_id=a1"),
            ("GET", "/v1/files/a1/f1/download"),
            ("POST", "/v1/files/a1/f1/complete"),
            ("DELETE", "/v1/files/a1/f1"),
        ]:
            refused = await client.request(method, url, headers=headers)
            assert refused.status == 401, (fault, method, url)
            assert refused.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert (await refused.json())["code"] == "invalid_token"
    assert neighbours.asked == []


async def test_services_have_no_business_here(
    client: Client, mint: TokenMint, neighbours: FakeNeighbours, clock: FakeClock
) -> None:
    token = mint.token("appointments", "service", at=clock(), scope="contact:read")
    refused = await client.get(
        "/v1/files?appointment_id=a1", headers={"Authorization": f"Bearer {token}"}
    )
    assert (refused.status, (await refused.json())["code"]) == (403, "forbidden")
    assert neighbours.asked == []
