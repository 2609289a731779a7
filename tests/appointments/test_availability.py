"""Availability against an oracle that walks through the instants one bucket at a time."""

import gc
import weakref
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appointments_service.domain.availability import (
    Hours,
    Shelf,
    Slot,
    find_slot,
    open_slots,
    refusal_of,
)
from appointments_service.domain.buckets import claims_of, overlap
from appointments_service.domain.schedules import WEEKDAYS, Interval, Override, Schedule

STEP = 300


def schedule(
    zone: str = "UTC",
    weekly: Mapping[str, tuple[Interval, ...]] | None = None,
    slot: int = 30,
    before: int = 0,
    after: int = 0,
    notice: int = 0,
    horizon: int = 730,
) -> Schedule:
    return Schedule(
        doctor_id="doc",
        timezone=zone,
        weekly=weekly or {},
        slot_minutes=slot,
        buffer_before_minutes=before,
        buffer_after_minutes=after,
        min_notice_minutes=notice,
        horizon_days=horizon,
        version=1,
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    )


def oracle_starts(zone: ZoneInfo, day: date, hours: tuple[Interval, ...], length: int) -> set[int]:
    """The starts of one date: every instant asked for its wall clock, runs built step by step."""
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    starts: set[int] = set()
    for interval in hours:
        run_start: int | None = None
        for moment in range(midnight - 16 * 3600, midnight + 40 * 3600 + STEP, STEP):
            local = datetime.fromtimestamp(moment, zone)
            minute = local.hour * 60 + local.minute
            within = local.date() == day and interval.start <= minute < interval.end
            if within and run_start is None:
                run_start = moment
            if not within and run_start is not None:
                starts |= set(range(run_start, moment - length + 1, length))
                run_start = None
    return starts


@st.composite
def day_hours(draw: st.DrawFn) -> tuple[Interval, ...]:
    edges = draw(st.lists(st.integers(0, 288), min_size=0, max_size=6, unique=True).map(sorted))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return tuple(Interval(start * 5, end * 5) for start, end in pairs)


# Zones whose clocks change at midnight, by half an hour, far from UTC, or not at all.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "Asia/Beirut",
    "America/Scoresbysund",
    "America/Havana",
)


def changes_of(zone: str, year: int) -> Iterator[date]:
    """The dates around every clock change of a year."""
    info = ZoneInfo(zone)
    day = datetime(year, 1, 1, tzinfo=UTC)
    while day.year == year:
        following = day + timedelta(days=1)
        if day.astimezone(info).utcoffset() != following.astimezone(info).utcoffset():
            for around in (-1, 0, 1):
                yield (day + timedelta(days=around)).date()
        day = following


@pytest.mark.parametrize("zone", ZONES)
def test_every_clock_change_of_three_years(zone: str) -> None:
    hours = (Interval(0, 150), Interval(150, 185), Interval(9 * 60, 12 * 60), Interval(1320, 1440))
    info = ZoneInfo(zone)
    for year in (2025, 2026, 2027):
        for day in changes_of(zone, year):
            weekly = dict.fromkeys(WEEKDAYS, hours)
            slots = Hours(schedule(zone, weekly, slot=25), {}).grid(day).slots
            assert set(slots) == oracle_starts(info, day, hours, 25 * 60), day
            assert list(slots) == sorted(slots)


@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(date(2024, 1, 1), date(2034, 12, 31)),
    hours=day_hours(),
    slot=st.integers(1, 48).map(lambda fives: fives * 5),
)
def test_any_day_agrees_with_the_oracle(
    zone: str, day: date, hours: tuple[Interval, ...], slot: int
) -> None:
    made = Hours(schedule(zone, dict.fromkeys(WEEKDAYS, hours), slot), {})
    found = made.grid(day).slots
    assert set(found) == oracle_starts(ZoneInfo(zone), day, hours, slot * 60)
    assert {made.local_date(start) for start in found} <= {day}


def test_a_repeated_hour_counts_twice_and_a_skipped_one_not_at_all() -> None:
    weekly = dict.fromkeys(WEEKDAYS, (Interval(60, 240),))
    berlin = Hours(schedule("Europe/Berlin", weekly, slot=60), {})
    assert len(berlin.grid(date(2026, 10, 25)).slots) == 4
    assert len(berlin.grid(date(2026, 3, 29)).slots) == 2
    assert len(berlin.grid(date(2026, 3, 30)).slots) == 3


def test_what_is_kept_of_all_doctors_days_is_bounded() -> None:
    weekly = dict.fromkeys(WEEKDAYS, (Interval(540, 1020),))
    shelf = Shelf(slots=10 * 17)
    doctors = [Hours(schedule(weekly=weekly), {}, shelf) for _ in range(3)]
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(8)]
    first = [weakref.ref(hours.grid(day)) for hours in doctors for day in days]
    gc.collect()
    assert [grid() is not None for grid in first] == [False] * 14 + [True] * 10
    kept = doctors[2].grid(days[0])
    assert kept is first[16]()
    assert doctors[0].grid(days[0]).slots.keys() == kept.slots.keys()


NOW = datetime(2026, 3, 27, 11, 2, 30, 5, tzinfo=UTC)


@given(
    zone=st.sampled_from(ZONES),
    hours=day_hours(),
    slot=st.sampled_from((5, 20, 45, 240)),
    before=st.sampled_from((0, 5, 60)),
    after=st.sampled_from((0, 10, 55)),
    notice=st.sampled_from((0, 5, 1440, 43_200)),
    horizon=st.sampled_from((1, 3, 40)),
    closed=st.sets(st.integers(0, 6)),
    taken=st.lists(st.tuples(st.integers(0, 7 * 288), st.integers(1, 24)), max_size=12),
)
def test_offered_is_exactly_what_can_be_booked(
    zone: str,
    hours: tuple[Interval, ...],
    slot: int,
    before: int,
    after: int,
    notice: int,
    horizon: int,
    closed: set[int],
    taken: list[tuple[int, int]],
) -> None:
    first = NOW.date() - timedelta(days=1)
    dates = [first + timedelta(days=n) for n in range(7)]
    overrides = {dates[n]: Override("doc", dates[n], (), 1) for n in closed}
    weekly = dict.fromkeys(WEEKDAYS, hours)
    made = Hours(schedule(zone, weekly, slot, before, after, notice, horizon), overrides)
    busy: dict[int, int] = {}
    origin = int(NOW.timestamp()) // STEP * STEP
    for start, length in taken:
        begin = origin + start * STEP
        for utc_day, mask in claims_of(begin, begin + length * STEP).items():
            busy[utc_day] = busy.get(utc_day, 0) | mask

    bookable = made.bookable_dates(NOW, dates[0], dates[-1])
    offered = {
        one.start for opened in open_slots(made, bookable, NOW, doctor_busy=busy) for one in opened
    }
    for day in dates:
        candidates = set(made.grid(day).slots) | {
            start + 300 for start in list(made.grid(day).slots)[:3]
        }
        for start in candidates:
            found = find_slot(made, datetime.fromtimestamp(start, UTC), NOW)
            can = isinstance(found, Slot) and (
                refusal_of(found, doctor_busy=busy, patient_busy={}) is None
            )
            assert (start in offered) == can, (start, found)
    assert all(
        set(one.doctor_claims) <= set(made.utc_days(*bookable))
        for opened in open_slots(made, bookable, NOW, doctor_busy={})
        for one in opened
    )


@given(
    st.tuples(st.integers(0, 10**6), st.integers(1, 72)),
    st.tuples(st.integers(0, 10**6), st.integers(1, 72)),
)
def test_claims_overlap_exactly_when_times_do(one: tuple[int, int], two: tuple[int, int]) -> None:
    (start, length), (other_start, other_length) = one, two
    other_start = start + other_start % 100 - 50
    first = claims_of(start * STEP, (start + length) * STEP)
    second = claims_of(other_start * STEP, (other_start + other_length) * STEP)
    meet = start < other_start + other_length and other_start < start + length
    assert overlap(first, second) == meet
    assert sum(mask.bit_count() for mask in first.values()) == length
