"""Many at once: a flood of logins, a thousand races for one refresh token, a database restarted.

What is shown is shown by counting what was answered and in which order, never by a clock.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest
from aiohttp import TCPConnector
from pytest_aiohttp.plugin import AiohttpClient
from sqlalchemy import Engine, event, text

from servicekit.testing import FakeClock
from tests.users.api import PASSWORD, Api, Person
from tests.users.conftest import Instance, settings_for
from tools.mysql import MySQLServer
from users_service.app import create_app
from users_service.errors import TooBusyError
from users_service.service import lines
from users_service.service.lines import LONGEST_WAIT_SECONDS, Line
from users_service.service.passwords import PasswordHasher
from users_service.settings import UsersSettings
from users_service.store_mysql import open_store

WRONG = "another phrase altogether"
FLOOD = 1000
RACES = 1000


def cheap(**changes: object) -> PasswordHasher:
    parameters = {"time_cost": 1, "memory_kib": 8, "parallelism": 1, "workers": 1, **changes}
    return PasswordHasher(**parameters)  # type: ignore[arg-type]


@pytest.fixture
def flooded(
    settings: UsersSettings, clock: FakeClock, api: Api, aiohttp_client: AiohttpClient
) -> Callable[[], Awaitable[Api]]:
    """One more instance, and a client that opens as many connections as it has requests."""

    async def start() -> Api:
        app = create_app(settings, clock=clock)
        return Api(await aiohttp_client(app, connector=TCPConnector(limit=0)))

    return start


async def flood(api: Api, email: str) -> Counter[int]:
    """A thousand logins at once, each third of them with a wrong password; by status."""

    async def one(number: int) -> int:
        password = WRONG if number % 3 == 0 else PASSWORD
        # Of many addresses, or most would be refused before any work is done.
        response = await api.login(email, password, address=f"10.0.{number % 200}.1")
        if response.status == 503:
            assert int(response.headers["Retry-After"]) > 0
        return response.status

    return Counter(await asyncio.gather(*(one(number) for number in range(FLOOD))))


async def test_a_flood_of_logins_is_answered_and_others_meanwhile(
    flooded: Callable[[], Awaitable[Api]],
) -> None:
    api = await flooded()
    ana, eve = await api.patient(), await api.patient()
    over = asyncio.Event()
    meanwhile: Counter[str] = Counter()

    async def read(path: str, by: Person | None) -> None:
        while not over.is_set():
            await api.ok("GET", path, by=by)
            meanwhile[path] += not over.is_set()

    readers = [
        asyncio.create_task(read("/v1/users/me", eve)),
        asyncio.create_task(read("/.well-known/jwks.json", None)),
    ]
    statuses = await flood(api, ana.email)
    over.set()
    await asyncio.gather(*readers)
    assert set(statuses) <= {200, 401, 503}
    assert statuses[200] > 0
    assert statuses[401] > 0
    # Sequential readers got answers while the flood was on: they waited in no line of hashes.
    assert meanwhile["/v1/users/me"] >= 3
    assert meanwhile["/.well-known/jwks.json"] >= 10


async def test_a_flood_that_can_not_be_served_in_time_is_told_so(
    flooded: Callable[[], Awaitable[Api]], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await flooded()
    ana = await api.patient()
    monkeypatch.setattr(lines, "LONGEST_WAIT_SECONDS", 0.0)
    statuses = await flood(api, ana.email)
    assert set(statuses) <= {200, 401, 503}
    assert statuses[503] > 0
    assert statuses[200] + statuses[401] > 0
    assert (await api.login(ana.email)).status == 200  # and then it is over


async def test_no_more_wait_than_can_have_their_turn_in_time() -> None:
    ticks = iter(range(1000))
    line = Line(1, monotonic=lambda: float(next(ticks)))  # each keeps its place for a second
    free = asyncio.Event()

    async def turn() -> None:
        async with line.place():
            await free.wait()

    free.set()
    for _ in range(100):  # until that is known
        await turn()
    free.clear()
    asked = [asyncio.create_task(turn()) for _ in range(40)]
    await asyncio.wait(asked[11:])
    assert line.waiting == LONGEST_WAIT_SECONDS
    free.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    refused = [result for result in results if isinstance(result, TooBusyError)]
    # One has its turn, ten wait a second each: the next would wait for eleven.
    assert results[:11] == [None] * 11
    assert len(refused) == 29
    assert {error.retry_after for error in refused} == {11}
    await turn()
    assert line.waiting == 0


async def test_who_gives_up_waiting_leaves_the_line() -> None:
    line = Line(1)
    async with line.place():
        impatient = asyncio.create_task(line.place().__aenter__())
        await asyncio.sleep(0)
        assert line.waiting == 1
        impatient.cancel()
        await asyncio.wait([impatient])
        assert line.waiting == 0
    async with line.place():
        pass


async def test_the_loop_goes_on_while_a_password_is_hashed() -> None:
    with cheap(time_cost=3, memory_kib=65536) as hasher:
        hashing = asyncio.create_task(hasher.verify(None, WRONG))
        ticks = 0
        while not hashing.done():
            ticks += 1
            await asyncio.sleep(0)
        assert ticks > 10


async def test_a_thousand_races_for_a_refresh_token_have_one_successor_each(
    api: Api, instance: Instance, settings: UsersSettings
) -> None:
    apis = [api, await instance()]
    sessions = [await api.patient() for _ in range(8)]

    async def successor(one: Api, refresh: str) -> str:
        """What an instance answers in the end: SQLite lets some wait for longer than it may."""
        while True:
            response = await one.call("POST", "/v1/auth/refresh", {"refresh_token": refresh})
            if response.status != 503:
                assert response.status == 200, await response.text()
                return str((await response.json())["refresh_token"])
            assert int(response.headers["Retry-After"]) > 0

    async def race(refresh: str) -> str:
        successors = set(await asyncio.gather(*(successor(one, refresh) for one in apis)))
        assert len(successors) == 1
        return successors.pop()

    async def races(refresh: str) -> str:
        for _ in range(RACES // len(sessions)):
            refresh = await race(refresh)
        return refresh

    last = await asyncio.gather(*(races(session.refresh) for session in sessions))
    async with open_store(settings.database_url.get_secret_value(), pool_size=1) as store:
        rows = await store._database.fetch(
            text(
                "SELECT COUNT(*), COUNT(DISTINCT number), SUM(spent_at IS NULL)"
                " FROM refresh_tokens GROUP BY family_id"
            )
        )
    each = RACES // len(sessions) + 1
    assert [tuple(map(int, row)) for row in rows] == [(each, each, 1)] * len(sessions)
    # A token whose successor is spent is a stolen one, on whichever instance it is shown.
    for session, refresh in zip(sessions, last, strict=True):
        for one, shown in ((apis[1], session.refresh), (apis[0], refresh)):
            body = {"refresh_token": shown}
            await one.refused(401, "invalid_refresh_token", "POST", "/v1/auth/refresh", body)


class Load:
    """Sessions that go on being used, each request after the answer to the one before."""

    def __init__(self, api: Api, people: list[Person]) -> None:
        self._api = api
        self.refresh = {person.email: person.refresh for person in people}
        self.statuses: Counter[int] = Counter()
        self._over = False
        self._changed = asyncio.Condition()
        self._tasks = [asyncio.create_task(self._use(person)) for person in people]

    async def _use(self, person: Person) -> None:
        while not self._over:
            await self._note(await self._api.call("GET", "/v1/users/me", by=person))
            await self._note(await self._api.login(person.email, address=person.id))
            body = {"refresh_token": self.refresh[person.email]}
            response = await self._api.call("POST", "/v1/auth/refresh", body)
            if response.status == 200:
                self.refresh[person.email] = (await response.json())["refresh_token"]
            await self._note(response)

    async def _note(self, response: object) -> None:
        status: int = response.status  # type: ignore[attr-defined]
        if status == 503:
            assert int(response.headers["Retry-After"]) > 0  # type: ignore[attr-defined]
        self.statuses[status] += 1
        async with self._changed:
            self._changed.notify_all()

    async def more(self, status: int, count: int) -> None:
        """Returns after so many further answers with that status; raises what a session did."""
        goal = self.statuses[status] + count
        async with self._changed:
            await self._changed.wait_for(lambda: self.statuses[status] >= goal or self._failed())
        if self._failed():
            await self.end()

    def _failed(self) -> bool:
        return any(task.done() for task in self._tasks)

    async def end(self) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)


@pytest.mark.mysql
async def test_a_database_restarted_under_load(
    mysql_server: MySQLServer, mysql_url: str, clock: FakeClock, aiohttp_client: AiohttpClient
) -> None:
    api = Api(await aiohttp_client(create_app(settings_for(mysql_url), clock=clock)))
    people = [await api.patient() for _ in range(8)]
    load = Load(api, people)
    await load.more(200, 50)
    await asyncio.to_thread(mysql_server.stop)
    try:
        await load.more(503, 50)
    finally:
        # Not in a thread: the server ends with the thread that started it.
        mysql_server.start()
    await load.more(200, 100)
    await load.end()
    assert set(load.statuses) == {200, 503}
    # Nobody lost a session by it: an answer that got lost is given again.
    for refresh in load.refresh.values():
        await api.ok("POST", "/v1/auth/refresh", {"refresh_token": refresh})
    for person in people:
        await api.sign_in(person.email)


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement of every engine, in order."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


async def test_known_and_unknown_addresses_ask_the_same_of_the_database(
    api: Api, statements: list[str]
) -> None:
    ana = await api.patient()
    asked = []
    for email in (ana.email, "nobody@example.org"):
        statements.clear()
        assert (await api.login(email, WRONG)).status == 401
        asked.append(list(statements))
    assert asked[0] == asked[1]
    assert asked[0]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_known_and_unknown_addresses_cost_the_same_work(
    settings: UsersSettings, clock: FakeClock, api: Api, aiohttp_client: AiohttpClient
) -> None:
    """CPU time of all threads, in turns, so that whatever else the machine does is on both."""
    # Dear enough for the hash to be most of a login.
    dear = settings.model_copy(update={"argon2_memory_kib": 8192, "argon2_time_cost": 2})
    api = Api(await aiohttp_client(create_app(dear, clock=clock)))
    ana = await api.patient()

    async def cost(email: str, number: int) -> float:
        began = time.process_time()
        response = await api.login(email, WRONG, address=f"10.0.0.{number}")
        spent = time.process_time() - began
        assert response.status == 401
        return spent

    costs: dict[str, list[float]] = {ana.email: [], "nobody@example.org": []}
    for number in range(60):
        for email, spent in costs.items():
            spent.append(await cost(email, number))
    known, unknown = (statistics.median(spent) for spent in costs.values())
    assert 0.8 < known / unknown < 1.25
