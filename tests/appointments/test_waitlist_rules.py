"""The rules of the waiting list: what may be offered, how long, and what an entry becomes."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appointments_service.domain.availability import Hours, Slot, find_slot, moment_of
from appointments_service.domain.schedules import WEEKDAYS, Interval, Schedule
from appointments_service.domain.waitlist import (
    SHORTEST_OFFER,
    Entry,
    WaitStatus,
    deadline_of,
    ended,
    joined,
    offered,
    offered_slot,
    put_back,
)
from appointments_service.errors import WrongStatusError
from tests.appointments.conftest import NOW

ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati", "Pacific/Pago_Pago")
moments = st.integers(0, 525_600).map(lambda minutes: NOW + timedelta(minutes=minutes))


def hours_in(zone: str, notice: int = 0, horizon: int = 90, buffer: int = 0) -> Hours:
    weekly = {day: (Interval(9 * 60, 17 * 60),) for day in WEEKDAYS}
    return Hours(Schedule("doc", zone, weekly, 30, 0, buffer, notice, horizon, 1, NOW), {})


def entry_of(first: date, last: date) -> Entry:
    return joined("k" * 26, patient_id="pat", doctor_id="doc", first=first, last=last, now=NOW)


def slots_of(hours: Hours, day: date) -> list[Slot]:
    return list(hours.grid(day).slots.values())


@given(
    zone=st.sampled_from(ZONES),
    now=moments,
    notice=st.integers(0, 2000),
    ahead=st.integers(0, 5),
    number=st.integers(0, 15),
    longest=st.integers(10, 10_080),
)
def test_what_is_offered_could_be_booked_until_it_lapses(
    zone: str, now: datetime, notice: int, ahead: int, number: int, longest: int
) -> None:
    hours = hours_in(zone, notice)
    slot = slots_of(hours, hours.local_date(int(now.timestamp())) + timedelta(days=ahead))[number]
    deadline = deadline_of(slot, hours, now, timedelta(minutes=longest))
    if deadline is None:
        left = moment_of(slot.start) - timedelta(minutes=notice) - now
        assert left < SHORTEST_OFFER
        return
    assert SHORTEST_OFFER <= deadline - now <= timedelta(minutes=longest)
    for moment in (now, now + (deadline - now) / 2, deadline):
        assert find_slot(hours, moment_of(slot.start), moment) == slot
    held = offered(entry_of(now.date(), now.date()), slot, deadline, now)
    assert held.offer is not None
    assert offered_slot(held.offer, hours, deadline) == slot
    assert not held.has_lapsed(deadline - timedelta(microseconds=1))
    assert held.has_lapsed(deadline)


@given(
    zone=st.sampled_from(ZONES), now=moments, notice=st.integers(0, 3000), days=st.integers(-3, 3)
)
def test_an_entry_is_over_only_when_nothing_on_its_dates_can_be_booked(
    zone: str, now: datetime, notice: int, days: int
) -> None:
    hours = hours_in(zone, notice)
    day = now.date() + timedelta(days=days)
    bookable = [
        slot
        for slot in slots_of(hours, day)
        if isinstance(find_slot(hours, moment_of(slot.start), now), Slot)
    ]
    over = entry_of(day - timedelta(days=2), day).is_over(hours, now)
    assert not (over and bookable)
    later = now + timedelta(days=6, minutes=notice)
    assert entry_of(day, day).is_over(hours, later)


def test_a_changed_slot_is_not_the_one_that_was_offered() -> None:
    hours = hours_in("UTC")
    slot = slots_of(hours, date(2026, 3, 3))[0]
    held = offered(entry_of(date(2026, 3, 3), date(2026, 3, 3)), slot, NOW + SHORTEST_OFFER, NOW)
    assert held.offer is not None
    assert offered_slot(held.offer, hours, NOW) == slot
    for other in (hours_in("UTC", buffer=5), hours_in("Europe/Berlin", notice=2000)):
        assert offered_slot(held.offer, other, NOW) is None


def test_its_states() -> None:
    entry = entry_of(date(2026, 3, 3), date(2026, 3, 4))
    slot = slots_of(hours_in("UTC"), date(2026, 3, 3))[0]
    later = NOW + timedelta(minutes=1)
    held = offered(entry, slot, NOW + SHORTEST_OFFER, later)
    assert (held.status, held.version, held.updated_at) == (WaitStatus.OFFERED, 2, later)
    assert held.held is not None
    assert (held.held.doctor_claims, held.held.patient_claims) == (slot.doctor_claims, {})
    back = put_back(held, later)
    assert (back.status, back.offer, back.version) == (WaitStatus.WAITING, None, 3)
    assert (back.key, back.created_at) == (entry.key, entry.created_at)  # its place stays
    for status in (WaitStatus.BOOKED, WaitStatus.EXPIRED, WaitStatus.CANCELLED):
        over = ended(held, status, later)
        assert (over.status, over.offer, over.held, over.status.is_live) == (
            status, None, None, False,
        )  # fmt: skip
        with pytest.raises(WrongStatusError):
            ended(over, WaitStatus.CANCELLED, later)
