"""The plan of a replay: whatever the rows, every booking of it can succeed."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.replay.plan import (
    MAX_HORIZON_DAYS,
    SLOT_MINUTES,
    SLOTS,
    TIMEZONE,
    Plan,
    PlanError,
    Step,
    make_plan,
)
from tools.replay.rows import Row

TODAY = date(2026, 3, 2)
FIRST = date(2016, 4, 29)
LENGTH = timedelta(minutes=SLOT_MINUTES)


def row(number: int, patient: str, day: int = 0, neighbourhood: str = "N", made: int = 0) -> Row:
    booked = datetime(2016, 4, 1, tzinfo=UTC) + timedelta(hours=made)
    return Row(number, patient, f"a{number}", booked, FIRST + timedelta(days=day), neighbourhood)


@st.composite
def many_rows(draw: st.DrawFn) -> list[Row]:
    # Few patients and neighbourhoods, so that all days are crowded.
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(0, 12), st.integers(0, 20), st.sampled_from("ABC"), st.integers(0, 99)
            ),
            min_size=1,
            max_size=150,
        )
    )
    return [
        row(number, str(patient), day // 7, where, made)
        for number, (patient, day, where, made) in enumerate(drawn, 2)
    ]


@given(many_rows(), st.integers(0, 2**63), st.booleans())
def test_nobody_is_ever_at_two_places(rows: list[Row], seed: int, life: bool) -> None:
    plan = make_plan(rows, today=TODAY, seed=seed, life=life)
    assert len(plan.bookings) + len(plan.unplaced) == len(rows)
    visits = Counter((one.patient, one.day) for one in rows)
    assert len(plan.unplaced) == sum(max(0, count - SLOTS) for count in visits.values())
    # An appointment may hold each of the times that it ever has while another comes to its own.
    held: set[tuple[object, datetime]] = set()
    for booking in plan.bookings:
        times = [booking.starts_at, *(at for _, at in booking.steps if at is not None)]
        for owner in (booking.doctor, booking.row.patient):
            for time in times:
                assert (owner, time) not in held
                held.add((owner, time))


@given(many_rows(), st.integers(0, 2**63))
def test_times_are_bookable_and_on_the_right_weekday(rows: list[Row], seed: int) -> None:
    plan = make_plan(rows, today=TODAY, seed=seed, life=True)
    for booking in plan.bookings:
        local = booking.starts_at.astimezone(ZoneInfo(TIMEZONE))
        assert local.date() == booking.row.day + timedelta(weeks=plan.weeks)
        assert local.weekday() == booking.row.day.weekday()
        assert local.date() >= TODAY + timedelta(days=2)
        for at in (booking.starts_at, *(at for _, at in booking.steps if at is not None)):
            start = at.astimezone(ZoneInfo(TIMEZONE))
            assert start.minute % SLOT_MINUTES == 0
            assert 7 <= start.hour < 23
            assert (start.date() - TODAY).days <= plan.horizon_days
    assert min(booking.row.day for booking in plan.bookings) + timedelta(
        weeks=plan.weeks - 1
    ) < TODAY + timedelta(days=2)
    made = [(booking.row.made, booking.row.number) for booking in plan.bookings]
    assert made == sorted(made)


@given(many_rows(), st.integers(0, 2**63))
def test_the_same_seed_gives_the_same_plan(rows: list[Row], seed: int) -> None:
    one = make_plan(rows, today=TODAY, seed=seed, life=True)
    assert make_plan(rows, today=TODAY, seed=seed, life=True) == one


def plan_of(rows: list[Row], **arguments: object) -> Plan:
    return make_plan(rows, today=TODAY, seed=1, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("appointments", "doctors"), [(1, 1), (16, 1), (17, 2), (32, 2), (33, 3)])
def test_a_neighbourhood_has_as_many_doctors_as_its_busiest_day_needs(
    appointments: int, doctors: int
) -> None:
    rows = [row(n, f"p{n}") for n in range(appointments)] + [row(99, "p0", day=1)]
    assert len(plan_of(rows).doctors) == doctors


def test_another_doctor_is_there_only_where_times_would_collide() -> None:
    # Each has one time of the day left, which is the same one for some seeds.
    rows = [row(n, "p", neighbourhood="A") for n in range(15)]
    rows += [row(n, "q", neighbourhood="B") for n in range(15, 30)]
    rows += [row(30, "p", neighbourhood="Z"), row(31, "q", neighbourhood="Z")]
    needed = set()
    for seed in range(100):
        plan = make_plan(rows, today=TODAY, seed=seed)
        assert plan.unplaced == []
        left = [booking.starts_at for booking in plan.bookings if booking.doctor[0] == "Z"]
        doctors = sum(doctor.neighbourhood == "Z" for doctor in plan.doctors)
        assert doctors == (2 if left[0] == left[1] else 1)
        needed.add(doctors)
    assert needed == {1, 2}


def test_more_visits_than_a_day_has_times_are_left_out_with_a_reason() -> None:
    plan = plan_of([row(n, "p") for n in range(SLOTS + 1)])
    assert [(one.number, one.reason) for one in plan.unplaced] == [
        (16, "patient p has more than 16 appointments on 2016-04-29")
    ]


def test_life_takes_every_turn_and_only_where_it_is_asked_for() -> None:
    rows = [row(n, f"p{n}") for n in range(300)]
    assert {step for booking in plan_of(rows).bookings for step in booking.steps} == set()
    lives = Counter(
        tuple(step for step, _ in booking.steps) for booking in plan_of(rows, life=True).bookings
    )
    assert len(lives) == 7
    assert lives[()] > 100
    assert {step for life in lives for step in life} == set(Step)


def test_what_spans_more_than_can_be_booked_is_refused() -> None:
    with pytest.raises(PlanError, match="--limit"):
        plan_of([row(1, "p"), row(2, "p", day=MAX_HORIZON_DAYS)])


def test_nothing_is_planned_for_nothing() -> None:
    assert plan_of([]).bookings == []
