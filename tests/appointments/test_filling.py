"""When an instance looks after those who wait, and what it does about what fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from appointments_service.directory import Doctor, Patient
from appointments_service.domain.waitlist import Entry
from appointments_service.errors import StoreUnavailableError
from appointments_service.service.filling import LOOK_SECONDS, Filling
from appointments_service.service.hours import HoursCache
from servicekit.testing import FakeClock
from tests.appointments.conftest import NOW, Suite
from tests.appointments.faults import FaultyClient, throttled
from tests.appointments.test_waitlist import cancel, full, joined, statuses


class Queues:
    """A store of which only the queues are asked; each question is passed on as it is met."""

    def __init__(self, *doctors: str) -> None:
        self.doctors = doctors
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.failures: dict[str, Exception] = {}

    async def read_waited_for(self) -> dict[str, int]:
        self.asked.put_nowait("all")
        self._fail("all")
        return dict.fromkeys(self.doctors, 2)

    async def read_queue(self, doctor_id: str) -> list[Entry]:
        self.asked.put_nowait(doctor_id)
        self._fail(doctor_id)
        return []

    def _fail(self, what: str) -> None:
        if what in self.failures:
            raise self.failures.pop(what)


class Nobody:
    async def doctor(self, doctor_id: str) -> Doctor | None:
        return None

    async def doctors_of(self, specialty: str) -> Sequence[Doctor]:
        return []

    async def patient(self, patient_id: str) -> Patient | None:
        return None


class Turns:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.waited: asyncio.Queue[float] = asyncio.Queue()
        self._go = asyncio.Semaphore(0)

    async def wait(self, seconds: float) -> None:
        self.waited.put_nowait(seconds)
        await self._go.acquire()

    def pass_(self) -> None:
        self._go.release()


@asynccontextmanager
async def running(store: Any, turns: Turns) -> AsyncIterator[tuple[Filling, list[int]]]:
    clock, seen = FakeClock(NOW), list[int]()
    hours = HoursCache(store, clock)
    filling = Filling(
        store, Nobody(), hours, clock, longest=timedelta(hours=1), seen=seen.append
    )  # fmt: skip
    task = asyncio.create_task(filling.run(turns.wait))
    try:
        async with asyncio.timeout(30):
            yield filling, seen
    finally:
        task.cancel()
        await asyncio.wait([task])


async def asked(store: Queues, number: int) -> set[str]:
    return {await store.asked.get() for _ in range(number)}


async def test_it_looks_at_all_every_few_seconds() -> None:
    store, turns = Queues("ann", "ben"), Turns()
    async with running(store, turns) as (_, seen):
        pauses = []
        for _ in range(3):
            pauses.append(await turns.waited.get())
            assert store.asked.empty()
            turns.pass_()
            assert await asked(store, 3) == {"all", "ann", "ben"}
        assert all(0.5 * LOOK_SECONDS <= pause <= 1.5 * LOOK_SECONDS for pause in pauses)
        assert len(set(pauses)) == 3
        assert seen == [4, 4, 4]


async def test_what_it_is_told_of_it_looks_at_at_once() -> None:
    store, turns = Queues("ann"), Turns()
    async with running(store, turns) as (filling, _):
        filling.poke("ann")  # nobody is known to wait: no call
        filling.poke("ben", is_waited_for=True)
        assert await asked(store, 1) == {"ben"}
        filling.poke("ben")
        assert await asked(store, 1) == {"ben"}
        turns.pass_()
        assert await asked(store, 2) == {"all", "ann"}
        filling.poke("ben")  # nobody waits for that one any more
        filling.poke("ann")
        assert await asked(store, 1) == {"ann"}
        assert store.asked.empty()


@pytest.mark.parametrize(
    ("what", "failure"),
    [
        ("all", StoreUnavailableError("away")),
        ("all", KeyError("waiting")),
        ("ann", StoreUnavailableError("away")),
        ("ann", KeyError("status")),
    ],
)
async def test_what_fails_is_no_end(what: str, failure: Exception) -> None:
    store, turns = Queues("ann", "ben"), Turns()
    store.failures[what] = failure
    async with running(store, turns):
        turns.pass_()
        assert await asked(store, 1 if what == "all" else 3) >= {"all"}
        turns.pass_()
        assert await asked(store, 3) == {"all", "ann", "ben"}


async def test_a_store_that_is_busy_is_asked_again(
    make_suite: Callable[..., Awaitable[Suite]], faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    taken = await full(suite)
    await joined(suite)
    await suite.fill()
    await cancel(suite, taken)
    faulty.fail("query", before=throttled("Query"))
    await suite.fill()
    assert await statuses(suite, "pat") == ["offered"]


async def test_what_a_look_asks_of_the_store(
    make_suite: Callable[..., Awaitable[Suite]], faulty: FaultyClient
) -> None:
    """Bounded, however many wait: no call an entry unless it is offered something."""
    suite = await make_suite(faulty)
    taken = await full(suite)
    for n in range(30):
        await joined(suite, f"p{n}")
    await suite.fill()
    faulty.calls.clear()
    await suite.fill()
    # Who is waited for, the queue and its entries, the hours, the calendar.
    assert sorted(faulty.calls) == [
        "batch_get_item", "batch_get_item", "get_item", "query", "query",
    ]  # fmt: skip
    other: Suite = await make_suite()  # which doesn't know that anybody waits
    await cancel(other, taken)
    faulty.calls.clear()
    await suite.fill()
    # And for the one offer: its patient's calendar, and the write.
    assert sorted(faulty.calls) == [
        "batch_get_item", "batch_get_item", "batch_get_item", "get_item", "query", "query",
        "transact_write_items",
    ]  # fmt: skip
