"""A service of the tests' own: one operation of each kind, as `build_app` serves them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from jwtverify import JWTVerifier, StaticKeys
from servicekit.app import VERIFIER, build_app
from servicekit.auth import anyone, anyone_or_caller, people, services
from servicekit.context import TRACING
from servicekit.operations import Call, Operation, answer, etag, no_content
from servicekit.problems import STORE_UNAVAILABLE, Problem
from servicekit.testing import TokenMint
from servicekit.wire import Date, Id, Instant, NoQuery, Nothing, Query, Wire, ZoneName
from telemetry.tracing import Tracing
from tests.servicekit.spans import KeptTracing


class AwayError(Exception):
    """The store is away."""


class FullError(Exception):
    """A domain error with members and a time to come again."""

    members = {"limit": 3}
    retry_after = 7


class Thing(Wire):
    id: Id
    count: int
    at: Instant | None = None
    on: Date | None = None
    zone: ZoneName | None = None


class Note(Wire):
    text: str | None = None


class Who(Wire):
    caller: str | None
    versions: list[int] | None = None
    key: str | None = None


class Colour(Query):
    colour: str = "red"


async def make(call: Call[Thing, Colour]) -> web.Response:
    return answer(call.body, status=201, headers=etag(1))


async def note(call: Call[Note, NoQuery]) -> web.Response:
    return answer(call.body)


async def touch(call: Call[Nothing, NoQuery]) -> web.Response:
    versions = sorted(call.if_match) if call.if_match is not None else None
    return answer(Who(caller=call.caller.id, versions=versions, key=call.idempotency_key))


async def look(call: Call[Nothing, NoQuery]) -> web.Response:
    caller = call.caller_or_none
    return answer(Who(caller=caller.id if caller is not None else None))


async def contact(call: Call[Nothing, NoQuery]) -> web.Response:
    return answer(Who(caller=call.caller.id))


async def remove(_call: Call[Nothing, NoQuery]) -> web.Response:
    return no_content()


async def fail(call: Call[Nothing, NoQuery]) -> web.Response:
    match call.path["id"]:
        case "away":
            raise AwayError("no route")
        case "full":
            raise FullError("three are there")
        case _:
            raise RuntimeError("the password is hunter2")


async def hang(_call: Call[Nothing, NoQuery]) -> web.Response:
    await asyncio.Event().wait()
    return no_content()


async def stream(call: Call[Nothing, NoQuery]) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(call.request)
    await response.write(b"all of it")
    return response


def _operation(method: str, path: str, handler: Any, access: Any, **more: Any) -> Any:
    more.setdefault("answers", {200: Who})
    return Operation(
        method=method, path=path, handler=handler, access=access, summary="Test", **more
    )


OPERATIONS = (
    _operation(
        "POST",
        "/v1/things",
        make,
        anyone(),
        body=Thing,
        query=Colour,
        answers={201: Thing},
        body_limit=1000,
        versioned=True,
    ),
    _operation("POST", "/v1/notes", note, anyone(), body=Note, answers={200: Note}),
    _operation(
        "POST",
        "/v1/things/{id}/touch",
        touch,
        people("admin", "doctor"),
        versioned=True,
        idempotent=True,
    ),
    _operation("GET", "/v1/things/{id}", look, anyone_or_caller()),
    _operation("GET", "/v1/contacts/{id}", contact, services("contact:read")),
    _operation("DELETE", "/v1/things/{id}", remove, people(), answers={204: None}),
    _operation(
        "GET", "/v1/failures/{id}", fail, anyone(), problems=(AwayError, FullError), deadline=None
    ),
    _operation("GET", "/v1/hang", hang, anyone(), deadline=0.01),
    _operation("GET", "/v1/stream", stream, anyone(), answers={200: None}, deadline=None),
)
PROBLEMS = {
    AwayError: STORE_UNAVAILABLE,
    FullError: Problem(429, "full", "There is no more room"),
}


@pytest.fixture(scope="session")
def mint() -> TokenMint:
    return TokenMint()


@dataclass
class Kit:
    """The service and how to call it."""

    client: TestClient[Any, Any]
    app: web.Application
    mint: TokenMint

    def auth(self, subject: str, role: str, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.mint.token(subject, role, **claims)}"}

    async def post(self, path: str, data: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        """A raw body; the media type is JSON unless said."""
        sent = {"Content-Type": "application/json", **headers}
        response = await self.client.post(path, data=data, headers=sent)
        return response.status, await response.json(content_type=None)


@asynccontextmanager
async def serving(
    mint: TokenMint, tracing: Tracing | None = None, **more: Any
) -> AsyncIterator[Kit]:
    """The service with more of `build_app`'s arguments."""

    async def verifier(app: web.Application) -> AsyncIterator[None]:
        keys = StaticKeys(mint.jwks)
        app[VERIFIER] = JWTVerifier(issuer=mint.issuer, audience=mint.audience, keys=keys)
        yield

    app = build_app(
        service="test",
        version="1",
        operations=OPERATIONS,
        problems=PROBLEMS,
        contexts=[verifier],
        **more,
    )
    app[TRACING] = tracing
    async with TestClient(TestServer(app)) as client:
        yield Kit(client, app, mint)


@pytest.fixture
async def kit(mint: TokenMint) -> AsyncIterator[Kit]:
    async with serving(mint) as kit:
        yield kit


@pytest.fixture
async def traced(mint: TokenMint) -> AsyncIterator[Kit]:
    """The service with its spans kept."""
    async with serving(mint, KeptTracing()) as kit:
        yield kit
