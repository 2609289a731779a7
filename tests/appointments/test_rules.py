"""Pure rules of an appointment's life."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appointments_service.domain.appointments import (
    MAX_CHANGES,
    Actor,
    Appointment,
    Party,
    Status,
    booked,
    check_movable,
    keys_of,
    moved,
    with_status,
)
from appointments_service.domain.availability import Slot
from appointments_service.domain.buckets import claims_of
from appointments_service.domain.tallies import band_of, contribution, difference
from appointments_service.errors import TooEarlyError, TooManyMovesError, WrongStatusError

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
START = int(datetime(2026, 3, 3, 9, 0, tzinfo=UTC).timestamp())
STAFF = Actor("boss", "admin")
CLINIC = ZoneInfo("America/Sao_Paulo")


def slot(start: int = START, minutes: int = 30) -> Slot:
    end = start + minutes * 60
    return Slot(start, end, claims_of(start - 300, end + 600), claims_of(start, end))


def appointment() -> Appointment:
    return booked(
        "k" * 26,
        slot(),
        patient=Party("pat", "Pat"),
        doctor=Party("doc", "Doc"),
        timezone="UTC",
        reason=None,
        actor=STAFF,
        now=NOW,
    )


ALLOWED = {
    (Status.BOOKED, Status.CHECKED_IN),
    (Status.BOOKED, Status.CANCELLED),
    (Status.BOOKED, Status.NO_SHOW),
    (Status.CHECKED_IN, Status.COMPLETED),
    (Status.CHECKED_IN, Status.CANCELLED),
}


@pytest.mark.parametrize("before", list(Status))
@pytest.mark.parametrize("after", list(Status))
def test_only_these_ways_lead_from_state_to_state(before: Status, after: Status) -> None:
    made = replace(appointment(), status=before)
    late = NOW + timedelta(days=3)
    if (before, after) not in ALLOWED:
        with pytest.raises(WrongStatusError):
            with_status(made, after, actor=STAFF, now=late, note=None)
        return
    changed = with_status(made, after, actor=STAFF, now=late, note="why")
    assert (changed.status, changed.version) == (after, 2)
    assert changed.history[-1].from_status is before
    assert bool(changed.doctor_claims) == bool(changed.patient_claims) == after.keeps_time
    assert changed.cancelled_by == (None if after.keeps_time else "boss")


def test_nobody_misses_what_has_not_begun() -> None:
    start = appointment().starts_at
    with pytest.raises(TooEarlyError):
        with_status(
            appointment(),
            Status.NO_SHOW,
            actor=STAFF,
            now=start - timedelta(microseconds=1),
            note=None,
        )
    with_status(appointment(), Status.NO_SHOW, actor=STAFF, now=start, note=None)


def test_an_appointment_is_not_moved_without_end() -> None:
    made = appointment()
    for _ in range(MAX_CHANGES - 1):
        check_movable(made)
        made = moved(made, slot(), timezone="UTC", actor=STAFF, now=NOW)
    with pytest.raises(TooManyMovesError):
        check_movable(made)
    with_status(made, Status.CANCELLED, actor=STAFF, now=NOW, note=None)


def test_an_id_carries_both_keys() -> None:
    assert keys_of(appointment().id) == ("pat", "k" * 26)
    assert keys_of("k" * 26) is None


steps = st.lists(
    st.one_of(
        st.sampled_from(list(Status)),
        st.integers(-400, 400).map(lambda hours: START + hours * 3600),
    ),
    max_size=8,
)


@given(steps)
def test_the_differences_add_up_to_a_recount(life: list[Status | int]) -> None:
    totals: dict[object, dict[str, int]] = {}

    def apply(before: Appointment | None, after: Appointment) -> None:
        for key, sums in difference(before, after, CLINIC).items():
            for name, delta in sums.items():
                tally = totals.setdefault(key, {})
                tally[name] = tally.get(name, 0) + delta

    made = appointment()
    apply(None, made)
    late = NOW + timedelta(days=60)
    for step in life:
        try:
            if isinstance(step, Status):
                after = with_status(made, step, actor=STAFF, now=late, note=None)
            else:
                check_movable(made)
                after = moved(made, slot(step), timezone="UTC", actor=STAFF, now=late)
        except WrongStatusError:
            continue
        apply(made, after)
        made = after
    key, sums = contribution(made, CLINIC)
    counted = {
        tally: {name: total for name, total in found.items() if total}
        for tally, found in totals.items()
    }
    expected = {name: total for name, total in sums.items() if total}
    assert {tally: found for tally, found in counted.items() if found} == {key: expected}


@pytest.mark.parametrize(
    ("days", "band"), [(-1, 0), (0, 0), (1, 1), (7, 1), (8, 2), (30, 2), (31, 3), (700, 3)]
)
def test_bands_of_lead_time(days: int, band: int) -> None:
    assert band_of(days) == band
