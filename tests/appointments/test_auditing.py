"""The audit that the service keeps up: what it counts, and by one instance at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from appointments_service.domain.invariants import Breach
from appointments_service.errors import StoreUnavailableError
from appointments_service.service.auditing import LEASE_SECONDS, Auditing, confirmed
from appointments_service.store_auditing import AuditPage
from appointments_service.store_dynamodb import DynamoDBStore
from tests.appointments.conftest import Suite
from tests.tools.audits import DAY, TALLY, act, book, change, delete, update
from tests.tools.clinics import clinic_fixture  # noqa: F401 - the fixture `clinic`

EVERY = timedelta(hours=1)
UTC = ZoneInfo("UTC")


async def at_once(_seconds: float) -> None:
    """For pauses that nothing in the test needs."""


class Counts:
    """What an audit is told to count."""

    def __init__(self) -> None:
        self.violated: list[int] = []
        self.rounds = 0

    def finished(self) -> None:
        self.rounds += 1


def auditing(
    clinic: Suite, counts: Counts, me: str = "me", store: DynamoDBStore | None = None
) -> Auditing:
    return Auditing(
        store or DynamoDBStore(clinic.dynamodb, clinic.table),
        lambda: clinic.clock.now,
        UTC,
        me,
        every=EVERY,
        violated=counts.violated.append,
        finished=counts.finished,
    )


async def counted(clinic: Suite) -> list[int]:
    """The invariants that one round finds violated."""
    counts = Counts()
    clinic.advance(hours=2)
    assert await auditing(clinic, counts).round(at_once)
    assert counts.rounds == 1
    return sorted(counts.violated)


async def entry_of_somebody(clinic: Suite) -> None:
    body = {"doctor_id": "doc", "from": "2026-03-05", "to": "2026-03-05"}
    headers = {**clinic.patient("waits"), "Idempotency-Key": "waits"}
    answer = await clinic.client.post("/v1/waitlist", json=body, headers=headers)
    assert answer.status == 201, await answer.text()
    await clinic.fill()


Plant = Callable[[Suite, dict[str, Any]], Awaitable[None]]


async def nothing(clinic: Suite, made: dict[str, Any]) -> None:
    pass


async def a_bucket_of_nobody(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "ADD busy :value", {"NS": ["114"]})


async def a_bucket_given_back(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "DELETE busy :value", {"NS": ["108"]})


async def a_day_lost(clinic: Suite, made: dict[str, Any]) -> None:
    await delete(clinic, "patient#pat", DAY)


async def a_tally_lost(clinic: Suite, made: dict[str, Any]) -> None:
    await delete(clinic, "doctor#doc", TALLY)


async def a_sum_too_high(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", TALLY, "ADD n_booked :value", {"N": "1"})


async def history_cut(clinic: Suite, made: dict[str, Any]) -> None:
    await change(clinic, made, history={"S": "[]"})


async def a_status_unknown(clinic: Suite, made: dict[str, Any]) -> None:
    await change(clinic, made, status={"S": "lost"})


async def a_second_one(clinic: Suite, made: dict[str, Any]) -> None:
    await a_bucket_given_back(clinic, made)
    free = {"NS": [str(bucket) for bucket in range(109, 114)]}
    await update(clinic, "doctor#doc", DAY, "DELETE busy :value", free)
    await book(clinic, "09:00", "other")


async def a_queue_miscounted(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "waitlist-doctors#", "doc", "SET waiting = :value", {"N": "7"})


async def a_day_of_text(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "SET busy = :value", {"S": "all"})


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (nothing, []),
        (a_bucket_of_nobody, [2]),
        (a_bucket_given_back, [2]),
        (a_day_lost, [2]),
        (a_tally_lost, [3]),
        (a_sum_too_high, [3]),
        (history_cut, [4]),
        (a_second_one, [1]),
        (a_queue_miscounted, [2]),
        (a_day_of_text, [2]),
        # Its buckets, the doctor's and the patient's, are nobody's now, and its tally is wrong.
        (a_status_unknown, [2, 2, 3, 4]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_each_kind_of_breach_is_counted_once_a_round(
    clinic: Suite, plant: Plant, found: list[int]
) -> None:
    await clinic.set_hours()
    made = await book(clinic, "09:00", "pat")
    moved = await book(clinic, "10:00", "bystander", day=4)
    await act(clinic, moved, "reschedule", starts_at="2026-03-05T10:30:00Z")
    await act(clinic, await book(clinic, "11:00", "third"), "cancel")
    await entry_of_somebody(clinic)
    await plant(clinic, made)
    assert await counted(clinic) == found
    assert await counted(clinic) == found


async def test_one_instance_at_a_time_and_one_round_an_interval(clinic: Suite) -> None:
    await clinic.set_hours()
    await book(clinic, "09:00", "pat")
    counts = Counts()
    one, other = auditing(clinic, counts, "one"), auditing(clinic, counts, "other")
    refused: list[bool] = []

    async def meanwhile(_seconds: float) -> None:
        refused.append(await other.round(at_once))

    assert await one.round(meanwhile)
    assert refused
    assert not any(refused)
    for instance in (one, other):
        assert not await instance.round(at_once)
    clinic.advance(minutes=59)
    assert not await other.round(at_once)
    clinic.advance(minutes=1)
    assert await other.round(at_once)
    assert counts.rounds == 2


async def test_a_round_whose_instance_is_gone_is_begun_by_another(clinic: Suite) -> None:
    await clinic.set_hours()
    await book(clinic, "09:00", "pat")
    counts = Counts()
    stopped = asyncio.Event()

    async def gone(_seconds: float) -> None:
        stopped.set()
        await asyncio.Event().wait()

    lost = asyncio.create_task(auditing(clinic, counts, "lost").round(gone))
    await stopped.wait()
    other = auditing(clinic, counts, "other")
    assert not await other.round(at_once)
    lost.cancel()
    clinic.advance(seconds=LEASE_SECONDS)
    assert await other.round(at_once)
    assert counts.rounds == 1


async def test_who_has_lost_the_lease_goes_no_further(clinic: Suite) -> None:
    await clinic.set_hours()
    await book(clinic, "09:00", "pat")
    await a_bucket_of_nobody(clinic, {})
    counts, others = Counts(), Counts()

    async def slept(_seconds: float) -> None:
        """The instance stands still for as long as its lease, and another does the round."""
        clinic.advance(seconds=LEASE_SECONDS)
        await auditing(clinic, others, "other").round(at_once)

    assert not await auditing(clinic, counts, "slow").round(slept)
    assert counts.rounds == 0
    assert (others.rounds, others.violated) == (1, [2])


async def test_an_audit_of_a_system_at_work_counts_nothing(clinic: Suite) -> None:
    await clinic.set_hours()
    done = asyncio.Event()

    async def work(patient: str, time: str) -> None:
        day = 3
        while not done.is_set():
            made = await book(clinic, time, patient, day=day % 9 + 3)
            await act(clinic, made, "cancel")
            day += 1

    workers = [
        asyncio.create_task(work(f"p{n}", f"{9 + n // 2:02}:{n % 2 * 30:02}")) for n in range(4)
    ]
    counts = Counts()
    for _ in range(2):
        clinic.advance(seconds=EVERY.total_seconds())
        assert await auditing(clinic, counts).round(asyncio.sleep)
    done.set()
    await asyncio.gather(*workers)
    assert counts.violated == []


BREACHES = [Breach(2, "here", what) for what in "abc"]


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([[0], [], [0]], []),
        ([[0, 1], [1, 2], [1]], [1]),
        ([[0], [1], [2]], []),
        ([[0], [0], [0, 1]], [0]),
    ],
)
async def test_a_breach_is_what_every_look_finds(looks: list[list[int]], found: list[int]) -> None:
    remaining = iter(looks)

    async def look() -> list[Breach]:
        return [BREACHES[n] for n in next(remaining)]

    assert await confirmed(look, (0, 0, 0), at_once) == [BREACHES[n] for n in found]


class Away(DynamoDBStore):
    """A store that fails for as many pages as it has failures."""

    failures: list[Exception]

    async def read_audit_page(
        self, position: Any | None, limit: int, clinic: ZoneInfo
    ) -> AuditPage:
        if self.failures:
            raise self.failures.pop()
        return await super().read_audit_page(position, limit, clinic)


async def test_a_round_that_fails_ends_no_audit(clinic: Suite) -> None:
    await clinic.set_hours()
    await book(clinic, "09:00", "pat")
    store = Away(clinic.dynamodb, clinic.table)
    store.failures = [ValueError("mistaken"), StoreUnavailableError("away")]
    finished = asyncio.Event()
    audit = Auditing(store, lambda: clinic.clock.now, UTC, "me", every=EVERY, finished=finished.set)

    async def wait(_seconds: float) -> None:
        if finished.is_set():
            await asyncio.Event().wait()

    running = asyncio.create_task(audit.run(wait))
    await finished.wait()
    running.cancel()
    assert store.failures == []


async def test_the_service_shows_zero_before_anything_was_found(clinic: Suite) -> None:
    answer = await clinic.client.get("/metrics")
    shown = [
        line
        for line in (await answer.text()).splitlines()
        if line.startswith("invariant_") and "_created" not in line
    ]
    assert shown == [
        'invariant_violations_total{invariant="overlap"} 0.0',
        'invariant_violations_total{invariant="calendar"} 0.0',
        'invariant_violations_total{invariant="tally"} 0.0',
        'invariant_violations_total{invariant="history"} 0.0',
        "invariant_audit_rounds_total 0.0",
    ]
