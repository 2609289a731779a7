"""The outbox and who works on it: on the emulator, with a mailer and contacts of the tests' own."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ConnectionError as ConnectionLost

from appointments_service.app import ANSWER_SECONDS
from appointments_service.domain.appointments import (
    Party,
    Status,
    booked,
    erased,
)
from appointments_service.domain.notices import notice_of, read_notice
from appointments_service.outbox import Posting
from appointments_service.service.mailing import (
    ATTEMPT_SECONDS,
    FIRST_PAUSE,
    GIVE_UP,
    LEASE,
    LONGEST_PAUSE,
    Backlog,
)
from appointments_service.store import Write
from appointments_service.store_dynamodb.calls import DEADLINE_SECONDS
from servicekit.mail import SEND_SECONDS, MailRefusedError, MailUnavailableError
from servicekit.testing import FakeClock
from tests.appointments.conftest import NOW
from tests.appointments.faults import WRITE
from tests.appointments.mailed import NINE, PAT, Desk, slot_at

HOUR = timedelta(hours=1)


@pytest.fixture
def desk(dynamodb: Any, table: str, clock: FakeClock) -> Desk:
    return Desk(dynamodb, table, clock)


async def test_a_booking_is_told_and_reminded_of_a_day_before(desk: Desk) -> None:
    await desk.book()
    await desk.work()
    await desk.work()
    assert desk.mails == [("pat", "booked")]
    assert [(one.kind, one.due_at) for one in await desk.left()] == [
        ("reminder", NINE - timedelta(hours=24))
    ]
    desk.clock.now = NINE - timedelta(hours=24, seconds=1)
    await desk.work()
    assert len(desk.mails) == 1
    desk.clock.now = NINE - timedelta(hours=24)
    await desk.work()
    assert desk.mails == [("pat", "booked"), ("pat", "reminder")]
    assert desk.mailer.sent[-1].event is not None
    assert await desk.left() == []


async def test_what_begins_within_a_day_is_not_reminded_of(desk: Desk) -> None:
    await desk.book(starts_at=NOW + timedelta(hours=24))
    await desk.work()
    assert await desk.left() == []
    assert desk.mails == [("pat", "booked")]


async def test_what_was_moved_or_cancelled_since_is_not_told_any_more(desk: Desk) -> None:
    await desk.move(await desk.book("mover"), NINE + HOUR)
    await desk.turn(await desk.book("canceller"), Status.CANCELLED)
    await desk.turn(await desk.book("early"), Status.CHECKED_IN)
    await desk.work()
    assert desk.mails == [("canceller", "cancelled"), ("early", "booked"), ("mover", "moved")]
    assert sorted(desk.ended) == [
        ("booked", "sent"), ("booked", "stale"), ("booked", "stale"),
        ("cancelled", "sent"), ("moved", "sent"),
    ]  # fmt: skip


async def test_a_reminder_follows_a_move_and_not_a_cancellation(desk: Desk) -> None:
    one = await desk.book("mover")
    there_and_back = await desk.book("back")
    gone = await desk.book("canceller")
    await desk.work()
    await desk.move(one, NINE + timedelta(days=2))
    again = await desk.move(there_and_back, NINE + HOUR)
    await desk.work()
    await desk.move(again, NINE)
    await desk.turn(gone, Status.CANCELLED)
    await desk.work()
    desk.mailer.sent.clear()
    desk.clock.now = NINE - timedelta(hours=23)
    await desk.work()
    assert desk.mails == [("back", "reminder")]
    desk.clock.now = NINE + timedelta(days=1, hours=1)
    await desk.work()
    assert desk.mails == [("back", "reminder"), ("mover", "reminder")]
    assert await desk.left() == []


async def test_what_has_begun_needs_no_mail(desk: Desk) -> None:
    await desk.book()
    desk.clock.now = NINE
    await desk.work()
    assert (desk.mails, desk.ended) == ([], [("booked", "stale")])
    one = await desk.book(starts_at=NINE + HOUR)
    assert notice_of("booked", [one], NINE) is not None
    assert notice_of("booked", [one], one.starts_at) is None


async def test_a_series_is_told_of_once_and_reminded_of_each_time(desk: Desk) -> None:
    ones = [await desk.book(starts_at=NINE + timedelta(weeks=n)) for n in range(12)]
    entries = await desk.store.read_outbox(desk.clock())
    for entry in entries:
        await desk.store.settle(entry, [])
    notice = notice_of("booked", ones, desk.clock())
    assert notice is not None
    await desk.store.write(Write("doc", (), None, {}, None, (Posting(notice),)))
    await desk.work()
    assert desk.mails == [("pat", "booked")]
    left = await desk.left()
    assert sorted(one.due_at for one in left) == [
        one.starts_at - timedelta(hours=24) for one in ones
    ]


async def test_nobody_else_waits_for_a_bad_address(desk: Desk) -> None:
    desk.contacts.gone.add("gone")
    desk.contacts.broken.add("broken")
    for patient in ("gone", "broken", "ana", "bob"):
        await desk.book(patient)
    await desk.work()
    assert desk.mails == [("ana", "booked"), ("bob", "booked")]
    assert ("booked", "gone") in desk.ended
    assert {one.patient_id for one in await desk.left()} == {"broken", "ana", "bob"}
    assert desk.backlog.pending == 1


async def test_a_refused_address_is_dropped_and_not_tried_again(desk: Desk) -> None:
    await desk.book()
    desk.mailer.error = MailRefusedError("no")
    await desk.work()
    desk.clock.advance(LONGEST_PAUSE)
    await desk.work()
    assert (desk.mailer.tries, desk.ended) == (1, [("booked", "refused")])
    assert [one.kind for one in await desk.left()] == ["reminder"]


@pytest.mark.parametrize("away", ["users", "mailer"])
async def test_what_is_away_is_tried_again_after_growing_pauses(desk: Desk, away: str) -> None:
    await desk.book()
    desk.contacts.away = away == "users"
    desk.mailer.error = MailUnavailableError("away") if away == "mailer" else None
    tried: list[timedelta] = []
    began, attempts = desk.clock.now, 0
    while desk.clock.now < began + timedelta(seconds=1900):
        await desk.work()
        asked = len(desk.contacts.asked)
        if asked > attempts:
            attempts = asked
            tried.append(desk.clock.now - began)
        desk.clock.advance(FIRST_PAUSE)
    pauses = [after - before for before, after in pairwise(tried)]
    assert pauses[:6] == [FIRST_PAUSE * 2**n for n in range(6)]
    assert set(pauses[6:]) == {LONGEST_PAUSE}
    assert (desk.backlog.pending, desk.backlog.oldest_due_at) == (1, began)
    desk.contacts.away, desk.mailer.error = False, None
    desk.clock.advance(LONGEST_PAUSE)
    await desk.work()
    assert desk.mails == [("pat", "booked")]
    assert desk.backlog == Backlog(0, None)


async def test_what_can_not_be_sent_is_given_up_in_the_end(desk: Desk) -> None:
    await desk.book(starts_at=NOW + timedelta(days=30))
    desk.contacts.away = True
    desk.clock.advance(GIVE_UP)
    await desk.work()
    assert desk.ended == [("booked", "unsent")]
    assert await desk.left() == []


async def test_an_entry_that_nobody_can_read_stops_no_other(desk: Desk, dynamodb: Any) -> None:
    await desk.book("ana")
    [entry] = await desk.store.read_outbox(desk.clock())
    for n, text in enumerate(("no json", "[]", '["rumour", "pat", [["k", 1]]]')):
        item = {
            "user_id": {"S": entry.place[0]},
            "appointment_id": {"S": f"2026-01-01T00:00:00Z#poison{n}"},
            "due_at": {"S": "2026-03-02T07:00:00Z"},
            "attempts": {"N": "0"},
            "notice": {"S": text},
        }
        await dynamodb.put_item(TableName=desk.store._table, Item=item)
    await desk.work()
    assert desk.mails == [("ana", "booked")]
    assert desk.backlog.pending == 3
    desk.clock.advance(GIVE_UP)
    await desk.work()
    assert [result for _, result in desk.ended].count("unsent") == 3
    await desk.work()
    assert desk.backlog == Backlog(0, None)


async def test_a_process_that_ends_between_sending_and_noting_it_has_it_sent_again(
    desk: Desk,
) -> None:
    await desk.book()
    task = asyncio.create_task(desk.work())
    desk.mailer.free.clear()
    await desk.mailer.reached.wait()
    task.cancel()  # SES has it, as far as it knows; nobody has noted so
    await asyncio.gather(task, return_exceptions=True)
    desk.mailer.free.set()
    desk.clock.advance(LEASE - timedelta(seconds=1))
    await desk.work()
    assert desk.mailer.tries == 1  # its lease is not over
    desk.clock.advance(timedelta(seconds=1))
    await desk.work()
    assert desk.mailer.tries == 2
    assert desk.mails == [("pat", "booked")]


async def test_a_lost_answer_of_the_store_sends_nothing_twice(desk: Desk) -> None:
    await desk.book()
    lost = ConnectionLost(error="reset")
    desk.client.fail(WRITE, after=lost)  # of taking it
    desk.client.fail(WRITE, after=lost)  # of noting it
    await desk.work()
    await desk.work()
    desk.clock.advance(LEASE)
    await desk.work()
    assert not desk.client.faults
    assert desk.mails == [("pat", "booked")]
    assert [one.kind for one in await desk.left()] == ["reminder"]


async def test_many_instances_send_each_once(desk: Desk) -> None:
    patients = [f"pat-{n}" for n in range(30)]
    for patient in patients:
        await desk.book(patient)
    await asyncio.gather(*(desk.instance().work() for _ in range(3)))
    assert desk.mails == sorted((patient, "booked") for patient in patients)
    assert desk.ended == [("booked", "sent")] * 30


async def test_of_an_entry_that_several_take_one_gets_it(desk: Desk) -> None:
    await desk.book()
    [entry] = await desk.store.read_outbox(desk.clock())
    until = desk.clock() + LEASE
    taken = await asyncio.gather(*(desk.store.postpone(entry, until, 1) for _ in range(5)))
    [mine] = [one for one in taken if one is not None]
    assert (mine.next_try_at, mine.attempts, mine.text) == (until, 1, entry.text)
    assert await desk.store.read_outbox(desk.clock()) == []
    assert await desk.store.read_outbox(until) == [mine]
    # To the second at which it is already: it moves all the same.
    again = await desk.store.postpone(mine, until, 2)
    assert again is not None
    assert await desk.store.read_outbox(until + timedelta(seconds=1)) == [again]
    assert not await desk.store.settle(mine, [])
    assert await desk.store.settle(again, [])
    assert await desk.left() == []


async def test_no_more_than_so_many_are_sent_at_once(desk: Desk) -> None:
    for n in range(12):
        await desk.book(f"pat-{n}")
    desk.mailer.free.clear()
    task = asyncio.create_task(desk.work())
    while desk.mailer.tries < 4:
        desk.mailer.reached.clear()
        await desk.mailer.reached.wait()
    before = len(desk.client.calls)
    assert desk.mailer.tries == 4
    desk.mailer.free.set()
    await task
    assert len(desk.mails) == 12
    assert before <= 12 + 4 + 4 * 2  # bookings, the look, and of each a lease and a read


def test_a_lease_is_longer_than_what_is_done_under_it() -> None:
    """An attempt, and a call of the store that is given up at last."""
    a_call = DEADLINE_SECONDS + ANSWER_SECONDS
    assert LEASE.total_seconds() > ATTEMPT_SECONDS + 2 * a_call
    assert ATTEMPT_SECONDS > SEND_SECONDS


async def test_a_look_at_nothing_is_one_call_a_shard(desk: Desk) -> None:
    await desk.work()
    assert desk.client.calls == ["query"] * 4


def test_a_notice_holds_ids_and_nothing_of_anybody(clock: FakeClock) -> None:
    one = booked(
        "k" * 26, slot_at(NINE), patient=Party("pat", "Zoë"), doctor=Party("doc", "Dr. Who"),
        timezone="UTC", reason="a private reason", actor=PAT, now=NOW,
    )  # fmt: skip
    notice = notice_of("booked", [one], NOW)
    assert notice is not None
    assert notice.to_json() == f'["booked", "pat", [["{"k" * 26}", 1]]]'
    assert read_notice(notice.to_json(), NOW) == notice
    assert notice_of("checked_in", [one], NOW) is None


async def test_an_erased_appointment_of_an_open_account_is_reminded_of(desk: Desk) -> None:
    """Erasing adds a version, and moves nothing."""
    one = await desk.book()
    await desk.work()
    await desk.store.replace(one, erased(one, actor=PAT, now=desk.clock()))
    desk.clock.now = NINE - timedelta(hours=24)
    await desk.work()
    assert ("pat", "reminder") in desk.mails
