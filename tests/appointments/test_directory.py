"""Shared questions: never an answer to a question that was asked before the caller came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from appointments_service.directory import Doctor
from appointments_service.directory_users import SharedQuestions, UsersDirectory
from appointments_service.errors import UsersUnavailableError
from servicekit.peers import Peer


class Oracle:
    """Answers with the number of the question, when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.gates: list[asyncio.Event] = []
        self._another = asyncio.Condition()

    async def ask(self, _key: str) -> int:
        self.asked += 1
        number = self.asked
        gate = asyncio.Event()
        self.gates.append(gate)
        async with self._another:
            self._another.notify_all()
        await gate.wait()
        return number

    async def reached(self, count: int) -> None:
        async with self._another:
            await self._another.wait_for(lambda: self.asked >= count)


async def test_those_who_come_meanwhile_share_the_next_question() -> None:
    oracle = Oracle()
    shared = SharedQuestions(oracle.ask)
    first = asyncio.create_task(shared.answer("doc"))
    await oracle.reached(1)
    rest = [asyncio.create_task(shared.answer("doc")) for _ in range(50)]
    other = asyncio.create_task(shared.answer("another"))
    await oracle.reached(2)
    oracle.gates[1].set()
    assert await other == 2
    oracle.gates[0].set()
    assert await first == 1
    await oracle.reached(3)
    oracle.gates[2].set()
    assert set(await asyncio.gather(*rest)) == {3}
    assert oracle.asked == 3


async def test_one_caller_that_goes_away_leaves_the_others_their_answer() -> None:
    oracle = Oracle()
    shared = SharedQuestions(oracle.ask)
    first = asyncio.create_task(shared.answer("doc"))
    await oracle.reached(1)
    gone = asyncio.create_task(shared.answer("doc"))
    stays = asyncio.create_task(shared.answer("doc"))
    await asyncio.sleep(0)
    gone.cancel()
    first.cancel()
    await oracle.reached(2)
    oracle.gates[1].set()
    assert await stays == 2
    assert gone.cancelled() or await asyncio.wait([gone])


async def test_a_failure_is_every_sharers_failure_and_nobody_elses() -> None:
    calls = 0

    async def ask(_key: str) -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls < 3:
            raise RuntimeError("away")
        return calls

    shared = SharedQuestions(ask)
    outcomes = await asyncio.gather(
        *(shared.answer("doc") for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(outcome, RuntimeError) for outcome in outcomes)
    assert await shared.answer("doc") == 3
    with pytest.raises(KeyError):
        shared._asked["doc"]


class LeasingUsers:
    """Answers about doctors with a lease; `accepting` is what it would say now."""

    def __init__(self, lease: str) -> None:
        self.accepting = True
        self.asked = 0
        self._headers = {"Cache-Control": lease}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/doctors/{id}", self._doctor)
        return app

    async def _doctor(self, request: web.Request) -> web.Response:
        self.asked += 1
        if request.match_info["id"] == "nobody":
            return web.json_response({"code": "not_found"}, status=404)
        doctor = {"id": "doc", "full_name": "Doc", "accepting_patients": self.accepting}
        return web.json_response(doctor, headers=self._headers)


class Seconds:
    """A clock that only goes when it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def directory(users: LeasingUsers, now: Seconds) -> AsyncIterator[UsersDirectory]:
    async with TestServer(users.app()) as server, ClientSession() as session:
        yield UsersDirectory(Peer(session, str(server.make_url("/"))), None, now)


async def test_a_lease_is_relied_on_from_its_question_to_its_end_and_no_longer() -> None:
    users, now = LeasingUsers("private, max-age=1"), Seconds()
    async with directory(users, now) as asks:
        assert await asks.doctor("doc") == Doctor("doc", "Doc", True)
        users.accepting = False
        now.now += 0.999
        assert await asks.doctor("doc") == Doctor("doc", "Doc", True)
        assert users.asked == 1
        now.now += 0.001
        assert await asks.doctor("doc") == Doctor("doc", "Doc", False)


@pytest.mark.parametrize("lease", ["", "no-store", "private, max-age=0", "s-max-age=9"])
async def test_without_a_lease_users_is_asked_each_time(lease: str) -> None:
    users = LeasingUsers(lease)
    async with directory(users, Seconds()) as asks:
        await asks.doctor("doc")
        await asks.doctor("doc")
        assert users.asked == 2


async def test_that_somebody_is_no_doctor_is_never_kept() -> None:
    users = LeasingUsers("private, max-age=1")
    async with directory(users, Seconds()) as asks:
        assert await asks.doctor("nobody") is None
        assert await asks.doctor("nobody") is None
        assert users.asked == 2


@pytest.mark.parametrize("body", [[], {}, None, {"id": "doc"}])
async def test_an_answer_that_is_none_leaves_unknown_who_somebody_is(body: object) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server, ClientSession() as session:
        asks = UsersDirectory(Peer(session, str(server.make_url("/"))), None)
        with pytest.raises(UsersUnavailableError, match="something else"):
            await asks.doctor("doc")


async def test_who_comes_when_a_question_has_just_ended_joins_those_who_wait() -> None:
    at_once = most = 0

    async def ask(_key: str) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1

    shared = SharedQuestions(ask)

    async def call_again_and_again() -> None:
        for _ in range(20):
            await shared.answer("doc")

    await asyncio.gather(*(call_again_and_again() for _ in range(5)))
    assert most == 1
