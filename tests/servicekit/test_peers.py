"""Calls to another service: answers, refusals, and what says nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from multidict import CIMultiDict

from servicekit.context import Trace, current_trace
from servicekit.peers import Peer, PeerUnavailableError, ServiceTokens
from servicekit.testing import FakeClock, TokenMint

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
MakePeer = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def make_peer() -> AsyncIterator[MakePeer]:
    """A peer whose every answer is the given function's."""
    servers: list[TestServer] = []
    async with ClientSession() as session:

        async def make(answer: Answer, deadline: float = 30.0) -> Peer:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", answer)
            server = TestServer(app)
            await server.start_server()
            servers.append(server)
            return Peer(session, str(server.make_url("/")), deadline)

        yield make
        for server in servers:
            await server.close()


def answers(**response: Any) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(**response)

    return answer


JSON = "application/json"


@pytest.mark.parametrize("status", [200, 201, 401, 404, 409, 422])
async def test_an_answer_is_given_back_whatever_it_says(make_peer: MakePeer, status: int) -> None:
    media_type = JSON if status < 400 else "application/problem+json"
    peer = await make_peer(answers(status=status, text='{"a": 1}', content_type=media_type))
    answer = await peer.call("GET", "/v1/x")
    assert (answer.status, answer.body, answer.max_age) == (status, {"a": 1}, 0)


async def test_no_content_is_an_answer_too(make_peer: MakePeer) -> None:
    peer = await make_peer(answers(status=204))
    assert (await peer.call("DELETE", "/v1/x")).body is None


@pytest.mark.parametrize(
    "response",
    [
        {"status": 500, "text": "{}", "content_type": JSON},
        {"status": 503, "text": "{}", "content_type": JSON},
        {"status": 429, "text": "{}", "content_type": JSON},
        {"status": 404, "text": "no rule", "content_type": "text/plain"},
        {"status": 200, "text": "<html>", "content_type": "text/html"},
        {"status": 200, "text": "{", "content_type": JSON},
        {"status": 200, "body": b"\xff", "content_type": JSON},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
    ],
)
async def test_what_says_nothing(make_peer: MakePeer, response: dict[str, Any]) -> None:
    peer = await make_peer(answers(**response))
    with pytest.raises(PeerUnavailableError) as caught:
        await peer.call("GET", "/v1/{id}", {"id": "hunter2"})
    assert "hunter2" not in str(caught.value), "it is told to callers, and logged"


async def test_one_who_is_away_breaks_off_or_never_answers(make_peer: MakePeer) -> None:
    async def break_off(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    forever = asyncio.Event()

    async def never(_request: web.Request) -> web.Response:
        await forever.wait()
        return web.Response()

    async with ClientSession() as session:
        for peer in (
            await make_peer(break_off),
            await make_peer(never, 0.01),
            Peer(session, "http://127.0.0.1:1"),
        ):
            with pytest.raises(PeerUnavailableError):
                await peer.call("GET", "/v1/x")
    forever.set()


async def test_a_call_carries_the_names_of_its_request_and_its_token(make_peer: MakePeer) -> None:
    seen: list[CIMultiDict[str]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.headers.copy())
        return web.json_response({})

    peer = await make_peer(note)
    trace = Trace("r1", f"00-{'a' * 32}-{'b' * 16}-01", "Root=1-2-3")
    token = current_trace.set(trace)
    try:
        await peer.call("GET", "/v1/x", token="t")
    finally:
        current_trace.reset(token)
    await peer.call("GET", "/v1/x")
    for name, value in {**trace.headers(), "Authorization": "Bearer t"}.items():
        assert seen[0][name] == value
        assert name not in seen[1]


def tokens_of(peer: Peer, mint: TokenMint, clock: FakeClock) -> ServiceTokens:
    pem = mint.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    return ServiceTokens(peer, name="svc", private_key=pem, audience="iss", clock=clock.timestamp)


class Issuer:
    """Gives out tokens by number, when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer(self, request: web.Request) -> web.Response:
        assert (await request.json())["client_assertion"]
        self.asked += 1
        self.reached.set()
        await self.gate.wait()
        if self.away:
            return web.Response(status=503)
        return web.json_response({"access_token": f"t{self.asked}", "expires_in": 300})


async def test_a_token_is_kept_until_shortly_before_its_end(
    make_peer: MakePeer, mint: TokenMint
) -> None:
    issuer, clock = Issuer(), FakeClock()
    tokens = tokens_of(await make_peer(issuer.answer), mint, clock)
    assert [await tokens.token() for _ in range(3)] == ["t1"] * 3
    clock.now = clock.now.replace(minute=4, second=29)
    assert await tokens.token() == "t1"
    clock.now = clock.now.replace(second=30)
    assert await tokens.token() == "t2"


async def test_all_who_need_a_token_share_one_question_and_its_failure(
    make_peer: MakePeer, mint: TokenMint
) -> None:
    issuer = Issuer()
    issuer.away = True
    issuer.gate.clear()
    tokens = tokens_of(await make_peer(issuer.answer), mint, FakeClock())
    waiting = [asyncio.create_task(tokens.token()) for _ in range(20)]
    await issuer.reached.wait()
    waiting[0].cancel()
    issuer.gate.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert all(isinstance(outcome, PeerUnavailableError) for outcome in outcomes[1:])
    assert issuer.asked == 1
    issuer.away = False
    assert await tokens.token() == "t2"


@pytest.mark.parametrize("body", ["[]", "null", "{}", '{"access_token": "t", "expires_in": "x"}'])
async def test_something_else_than_a_token_is_no_answer(
    make_peer: MakePeer, mint: TokenMint, body: str
) -> None:
    peer = await make_peer(answers(text=body, content_type=JSON))
    with pytest.raises(PeerUnavailableError, match="something else"):
        await tokens_of(peer, mint, FakeClock()).token()
