"""Offered means bookable: availability against itself, and against an oracle of single minutes."""

from datetime import UTC, datetime

from hypothesis import given

from appointments_service.domain.availability import Slot, find_slot, open_slots, refusal_of
from tests.appointments.offers import Case, busy, cases
from tools.stress.zones import breaches_of, distinct_zones


def offered_by(case: Case) -> set[int]:
    """The starts in /slots, computed as the service does."""
    hours = case.hours()
    opened = open_slots(
        hours,
        hours.bookable_dates(case.now, *case.dates),
        case.now,
        doctor_busy=busy(case.doctor_busy),
        patient_busy=busy(case.patient_busy),
    )
    return {slot.start for day in opened for slot in day}


def codes_of(case: Case) -> dict[int, str | None]:
    """What explain says of every 5 minutes, which is what booking looks at, in its order."""
    hours = case.hours()
    doctor, patient = busy(case.doctor_busy), busy(case.patient_busy)
    codes = {}
    for start in case.starts:
        found = find_slot(hours, datetime.fromtimestamp(start, UTC), case.now)
        codes[start] = (
            refusal_of(found, doctor_busy=doctor, patient_busy=patient)
            if isinstance(found, Slot)
            else found
        )
    return codes


@given(cases())
def test_a_time_is_offered_if_and_only_if_it_can_be_booked(case: Case) -> None:
    offered, hours = offered_by(case), case.hours()
    bookable = {
        start
        for start, code in codes_of(case).items()
        if code is None and case.dates[0] <= hours.local_date(start) <= case.dates[1]
    }
    assert offered == bookable


@given(cases())
def test_every_time_and_its_code_agree_with_a_look_at_every_minute(case: Case) -> None:
    for start, code in codes_of(case).items():
        expected = case.rules.refusal(start, case.now, case.doctor_busy, case.patient_busy)
        assert code == expected, datetime.fromtimestamp(start, UTC)


def test_all_zones_and_all_changes_of_clocks_until_2034() -> None:
    zones = distinct_zones()
    assert sum(map(len, zones.values())) > 500
    wrong = [
        breach for zone, changes in zones.items() for breach in breaches_of(zone, changes, step=300)
    ]
    assert wrong == []
