"""A careful client: what passes is tried again with the same key, tokens are renewed in time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tools.replay.api import API, Account, GaveUpError, Outcome, RefusedError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Scripted:
    """A gateway that gives the next of some answers to each request, and keeps the requests."""

    def __init__(self, *answers: web.Response | type[BaseException]) -> None:
        self._answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path, dict(request.headers), body))
        answer = self._answers.pop(0)
        if isinstance(answer, web.Response):
            return answer
        assert request.transport is not None
        request.transport.abort()
        raise asyncio.CancelledError

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app


def problem(status: int, code: str, **headers: str) -> web.Response:
    return web.json_response({"code": code}, status=status, headers=headers)


Open = Callable[..., Awaitable[API]]


@pytest.fixture
async def open_api() -> AsyncIterator[Open]:
    async with aiohttp.ClientSession() as session:
        servers: list[TestServer] = []

        async def open_it(gateway: Scripted, patience: float = 20.0) -> API:
            server = TestServer(gateway.app())
            await server.start_server()
            servers.append(server)
            return API(session, str(server.make_url("/")), patience=patience)

        yield open_it
        for server in servers:
            await server.close()


async def test_a_503_is_tried_again_after_its_pause_with_the_same_key(open_api: Open) -> None:
    gateway = Scripted(
        problem(503, "store_unavailable", **{"Retry-After": "0"}),
        problem(503, "store_unavailable", **{"Retry-After": "0"}),
        web.json_response({"id": "1"}, status=201),
    )
    api = await open_api(gateway)
    answer = await api.call("book", "POST", "/v1/x", token="t", key="k", body={"a": 1})
    assert (answer.status, answer.body, answer.repeated) == (201, {"id": "1"}, True)
    assert len(gateway.requests) == 3
    for _, path, headers, body in gateway.requests:
        assert (path, body) == ("/v1/x", {"a": 1})
        assert (headers["Idempotency-Key"], headers["Authorization"]) == ("k", "Bearer t")
    assert api.statistics.answers == {
        Outcome("book", 503, "store_unavailable"): 2,
        Outcome("book", 201, ""): 1,
    }
    assert len(api.statistics.seconds["book"]) == 3


async def test_no_answer_at_all_is_tried_again_and_counted(open_api: Open) -> None:
    gateway = Scripted(ConnectionError, web.json_response({}, status=201))
    api = await open_api(gateway)
    answer = await api.call("book", "POST", "/v1/x", key="k", body={})
    assert (answer.status, answer.repeated) == (201, True)
    [lost] = [outcome for outcome in api.statistics.answers if outcome.status == 0]
    assert lost.code == "ServerDisconnectedError"


async def test_patience_ends(open_api: Open) -> None:
    gateway = Scripted(problem(503, "store_unavailable", **{"Retry-After": "5"}))
    api = await open_api(gateway, patience=1.0)
    with pytest.raises(GaveUpError, match="book: 503 store_unavailable"):
        await api.call("book", "POST", "/v1/x")
    assert len(gateway.requests) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(409, "slot_taken"), "slot_taken"),
        (problem(500, "internal_error"), "internal_error"),
        (web.Response(status=404, text="no such path"), "not JSON"),
        (web.json_response(["?"], status=422), "no problem document"),
        (web.json_response({}, headers={"Idempotency-Replayed": "true"}), "replayed"),
        (web.Response(status=204), ""),
    ],
)
async def test_any_other_answer_is_counted_by_its_code_and_given_back(
    open_api: Open, answer: web.Response, code: str
) -> None:
    api = await open_api(Scripted(answer))
    given = await api.call("book", "POST", "/v1/x")
    assert (given.status, given.repeated) == (answer.status, False)
    assert api.statistics.answers == {Outcome("book", answer.status, code): 1}


def tokens(number: int, expires_in: int = 900) -> web.Response:
    pair = {"access_token": f"a{number}", "refresh_token": f"r{number}", "expires_in": expires_in}
    return web.json_response(pair)


def paths(gateway: Scripted) -> list[tuple[str, Any]]:
    return [(path, body) for _, path, _, body in gateway.requests]


LOGIN = ("/v1/auth/login", {"email": "e", "password": "p"})


async def test_one_sign_in_serves_all_who_ask_at_once(open_api: Open) -> None:
    gateway = Scripted(tokens(1))
    account = Account(await open_api(gateway), "e", "p")
    asked = await asyncio.gather(*(account.token() for _ in range(3)))
    assert list(asked) == ["a1"] * 3
    assert paths(gateway) == [LOGIN]


async def test_a_token_about_to_end_is_renewed_by_its_refresh_token(open_api: Open) -> None:
    gateway = Scripted(tokens(1, expires_in=60), tokens(2))
    account = Account(await open_api(gateway), "e", "p")
    assert [await account.token() for _ in range(3)] == ["a1", "a2", "a2"]
    assert paths(gateway) == [LOGIN, ("/v1/auth/refresh", {"refresh_token": "r1"})]


async def test_a_refresh_token_spent_by_a_lost_answer_means_signing_in_again(
    open_api: Open,
) -> None:
    gateway = Scripted(
        tokens(1, expires_in=60), ConnectionError, problem(401, "invalid_refresh_token"), tokens(2)
    )
    account = Account(await open_api(gateway), "e", "p")
    assert [await account.token() for _ in range(2)] == ["a1", "a2"]
    assert [path for path, _ in paths(gateway)][-2:] == ["/v1/auth/refresh", "/v1/auth/login"]


async def test_a_refresh_token_refused_for_no_reason_is_an_error(open_api: Open) -> None:
    gateway = Scripted(tokens(1, expires_in=60), problem(401, "invalid_refresh_token"))
    account = Account(await open_api(gateway), "e", "p")
    await account.token()
    with pytest.raises(RefusedError, match="refresh: 401 invalid_refresh_token"):
        await account.token()


async def test_a_wrong_password_is_an_error(open_api: Open) -> None:
    account = Account(await open_api(Scripted(problem(401, "bad_credentials"))), "e", "p")
    with pytest.raises(RefusedError, match="log in: 401 bad_credentials"):
        await account.token()
