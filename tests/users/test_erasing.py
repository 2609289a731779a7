"""The outbox of erasures: one instance's at a time, repeated until done, and again when settled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from servicekit.peers import Peer
from servicekit.testing import FakeClock
from tests.users.neighbours import (
    ERASE_APPOINTMENTS,
    ERASE_FILES,
    LIST_IDS,
    FakeNeighbours,
)
from tests.users.test_store import make, noted
from users_service.domain.erasures import LEASE, LONGEST_PAUSE, SETTLED_AFTER, Backlog, closed
from users_service.neighbours import HTTPNeighbours
from users_service.service.erasing import Erasing
from users_service.store_mysql import MySQLStore

SECOND = timedelta(seconds=1)


@pytest.fixture
async def neighbours() -> FakeNeighbours:
    return FakeNeighbours()


@pytest.fixture
async def url(neighbours: FakeNeighbours) -> AsyncIterator[str]:
    async with TestServer(neighbours.app()) as server:
        yield str(server.make_url(""))


NewInstance = Callable[[], Erasing]


@pytest.fixture
async def instance(store: MySQLStore, url: str, clock: FakeClock) -> AsyncIterator[NewInstance]:
    """What works in an instance; several share the database."""

    async def token() -> str:
        return "a token"

    async with aiohttp.ClientSession() as session:
        http = HTTPNeighbours(Peer(session, url, 30.0), Peer(session, url, 30.0), token)
        yield lambda: Erasing(store, http, clock, due=asyncio.Event())


async def close(store: MySQLStore, clock: FakeClock) -> str:
    user = make(clock)
    await store.add_user(user, "hash", noted(clock))
    assert await store.close_user(user, closed(user, clock()), noted(clock))
    return user.id


async def pending(store: MySQLStore) -> int:
    return (await store.erasures_pending()).pending


async def test_files_go_first_then_the_appointments_and_all_again_when_settled(
    store: MySQLStore, neighbours: FakeNeighbours, instance: NewInstance, clock: FakeClock
) -> None:
    user_id = await close(store, clock)
    neighbours.appointments[user_id] = ["a1", "a2", "a3"]
    neighbours.remaining = {"a2": 2, user_id: 1}
    expected = [
        (LIST_IDS, user_id),
        (ERASE_FILES, "a1"),
        (ERASE_FILES, "a2"),
        (ERASE_FILES, "a2"),
        (ERASE_FILES, "a2"),
        (LIST_IDS, user_id),
        (ERASE_FILES, "a3"),
        (ERASE_APPOINTMENTS, user_id),
        (ERASE_APPOINTMENTS, user_id),
    ]
    await instance().work()
    assert neighbours.asked == expected
    assert set(neighbours.tokens) == {"a token"}

    # Whoever has a token yet may have left something since.
    clock.advance(SETTLED_AFTER - SECOND)
    await instance().work()
    assert len(neighbours.asked) == len(expected)
    assert await pending(store) == 1
    clock.advance(SECOND)
    await instance().work()
    assert neighbours.subjects(ERASE_FILES)[-3:] == ["a1", "a2", "a3"]
    assert await pending(store) == 0
    asked = len(neighbours.asked)
    clock.advance(timedelta(days=1))
    await instance().work()
    assert len(neighbours.asked) == asked


@pytest.mark.parametrize("route", [LIST_IDS, ERASE_FILES, ERASE_APPOINTMENTS])
async def test_a_neighbour_that_is_away_is_asked_again_after_growing_pauses(
    store: MySQLStore,
    neighbours: FakeNeighbours,
    instance: NewInstance,
    clock: FakeClock,
    route: str,
) -> None:
    user_id = await close(store, clock)
    neighbours.appointments[user_id] = ["a1"]
    neighbours.away = {route}
    pauses = []
    for _ in range(12):
        asked = len(neighbours.asked)
        backlog = await instance().work()
        assert len(neighbours.asked) > asked
        assert backlog.next_try_at is not None
        pauses.append(backlog.next_try_at - clock())
        clock.advance(pauses[-1] - timedelta(milliseconds=1))
        asked = len(neighbours.asked)
        await instance().work()
        assert len(neighbours.asked) == asked  # not before its time
        clock.advance(timedelta(milliseconds=1))
    assert pauses[:4] == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]
    assert pauses[-1] == LONGEST_PAUSE
    neighbours.away.clear()
    await instance().work()
    assert neighbours.asked[-1] == (ERASE_APPOINTMENTS, user_id)


@pytest.mark.parametrize(
    "answer", [{}, [], {"remaining": "no"}, {"items": 1}, {"items": []}, {"remaining": None}]
)
async def test_what_is_not_as_agreed_is_not_done(
    store: MySQLStore,
    neighbours: FakeNeighbours,
    instance: NewInstance,
    clock: FakeClock,
    answer: Any,
) -> None:
    user_id = await close(store, clock)
    neighbours.appointments[user_id] = ["a1"]
    clock.advance(SETTLED_AFTER)
    for route in (LIST_IDS, ERASE_FILES, ERASE_APPOINTMENTS):
        neighbours.answers = {route: answer}
        await instance().work()
        clock.advance(LONGEST_PAUSE)
    assert await pending(store) == 1
    neighbours.answers = {}
    await instance().work()
    assert await pending(store) == 0


async def test_one_that_fails_keeps_no_other_waiting(
    store: MySQLStore, neighbours: FakeNeighbours, instance: NewInstance, clock: FakeClock
) -> None:
    first = await close(store, clock)
    clock.advance(SECOND)
    second = await close(store, clock)
    neighbours.appointments = {first: ["a1"]}
    neighbours.away = {ERASE_FILES}
    await instance().work()
    assert neighbours.subjects(ERASE_APPOINTMENTS) == [second]


async def test_of_several_instances_one_works_until_its_lease_has_lapsed(
    store: MySQLStore, neighbours: FakeNeighbours, instance: NewInstance, clock: FakeClock
) -> None:
    user_id = await close(store, clock)
    neighbours.appointments[user_id] = ["a1"]
    after: list[Backlog] = []

    async def take_long(_: str) -> None:
        """What happens while the first instance waits for an answer."""
        del neighbours.hooks[ERASE_FILES]
        clock.advance(LEASE - SECOND)
        await asyncio.gather(*(instance().work() for _ in range(3)))
        assert neighbours.subjects(ERASE_FILES) == ["a1"]
        clock.advance(SECOND)
        after.append(await instance().work())
        assert neighbours.subjects(ERASE_FILES) == ["a1", "a1"]
        assert neighbours.subjects(ERASE_APPOINTMENTS) == [user_id]
        neighbours.remaining["a1"] = 1

    neighbours.hooks[ERASE_FILES] = take_long
    # The first one was only slow: what it has to say doesn't count any more.
    assert await instance().work() == after[0]
    assert neighbours.subjects(ERASE_FILES) == ["a1", "a1"]


async def test_a_long_one_renews_its_lease(
    store: MySQLStore, neighbours: FakeNeighbours, instance: NewInstance, clock: FakeClock
) -> None:
    user_id = await close(store, clock)
    neighbours.appointments[user_id] = ["a1", "a2", "a3"]

    async def take_long(_: str) -> None:
        clock.advance(LEASE * 0.75)
        await instance().work()  # somebody's whose lease has not lapsed

    neighbours.hooks[ERASE_FILES] = take_long
    await instance().work()
    assert neighbours.subjects(ERASE_FILES) == ["a1", "a2", "a3"]
    assert neighbours.subjects(ERASE_APPOINTMENTS) == [user_id]


async def test_of_many_at_once_one_takes_it(store: MySQLStore, clock: FakeClock) -> None:
    closed_ids = [await close(store, clock) for _ in range(2)]
    until = clock() + LEASE
    taken = await asyncio.gather(*(store.take_erasure(clock(), until) for _ in range(8)))
    assert sorted(one.user_id for one in taken if one is not None) == sorted(closed_ids)
