"""Which times can be booked: the one function behind search, explain, booking and move.

An interval of hours covers every instant whose wall-clock time in the schedule's zone lies in it:
an hour that the clocks repeat counts twice, one that they skip not at all. In each unbroken run of
such instants, starts step by the slot's length of elapsed time. Instants are Unix seconds here.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from appointments_service.domain.buckets import (
    DAY_SECONDS,
    FREE,
    Claims,
    claims_of,
    day_number,
    overlap,
)
from appointments_service.domain.schedules import Interval, Override, Schedule, hours_on

HOUR = 3600
# Callers ask for few different spans of one doctor's days; what is kept of them is bounded.
KEPT_SPANS = 64
# Some 60 MB, whoever crawls through how many doctors' days.
KEPT_SLOTS = 100_000

# A date of any zone lies within this many seconds of the same date's midnight in UTC: offsets
# reach from -12 to +14 hours, and one more for an hour that is repeated at the date's end.
_DATE_BEGINS = -15 * HOUR
_DATE_ENDS = DAY_SECONDS + 13 * HOUR
# No zone changes its clocks twice within this time.
_SAMPLE = 3 * HOUR


@dataclass(frozen=True, slots=True)
class Slot:
    """A time that the hours allow, in Unix seconds, and what booking it claims."""

    start: int
    end: int
    doctor_claims: Claims
    patient_claims: Claims


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class DayGrid:
    """All slots of one date, booked or not, and the unbroken runs of open hours they lie in."""

    runs: tuple[tuple[int, int], ...]
    slots: dict[int, Slot]
    utc_days: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OpenDay:
    """What is open of one date. `slots` is None where all of the grid's are."""

    grid: DayGrid
    slots: tuple[Slot, ...] | None

    def __iter__(self) -> Iterator[Slot]:
        return iter(self.grid.slots.values() if self.slots is None else self.slots)


def dates_from(first: date, last: date) -> Iterator[date]:
    """The dates from `first` to `last`, both included; none if they are reversed."""
    for n in range((last - first).days + 1):
        yield first + timedelta(days=n)


class Shelf:
    """The grids that were used last, of all doctors together, up to a number of slots."""

    def __init__(self, slots: int = KEPT_SLOTS) -> None:
        self._room = slots
        self._grids: OrderedDict[tuple[Hours, date], DayGrid] = OrderedDict()

    def grid(self, hours: "Hours", day: date) -> DayGrid:
        """The grid of a date, computed if it isn't here."""
        grid = self._grids.get((hours, day))
        if grid is not None:
            self._grids.move_to_end((hours, day))
            return grid
        grid = self._grids[hours, day] = hours.compute(day)
        self._room -= _size(grid)
        while self._room < 0:
            self._room += _size(self._grids.popitem(last=False)[1])
        return grid


def _size(grid: DayGrid) -> int:
    return 1 + len(grid.slots)


class Hours:
    """A schedule in one version with its overrides, and the grids computed from them.

    Args:
        shelf: where the grids are kept; one of its own by default.
    """

    def __init__(
        self,
        schedule: Schedule,
        overrides: Mapping[date, Override],
        shelf: Shelf | None = None,
    ) -> None:
        self.schedule = schedule
        self.overrides = overrides
        self._zone = ZoneInfo(schedule.timezone)
        self._shelf = shelf or Shelf()
        self._utc_days: dict[tuple[date, date], tuple[int, ...]] = {}

    def grid(self, day: date) -> DayGrid:
        """The slots of a date in the schedule's zone."""
        return self._shelf.grid(self, day)

    def local_date(self, moment: int) -> date:
        """The date of an instant in the schedule's zone."""
        return datetime.fromtimestamp(moment, self._zone).date()

    def bookable_span(self, now: datetime) -> tuple[int, int]:
        """The first and the last moment at which a booking made now may start."""
        schedule = self.schedule
        earliest = now + timedelta(minutes=schedule.min_notice_minutes)
        latest = now + timedelta(days=schedule.horizon_days)
        whole = int(earliest.timestamp())
        first = whole if earliest.microsecond == 0 else whole + 1
        return first, int(latest.timestamp())

    def bookable_dates(self, now: datetime, first: date, last: date) -> tuple[date, date]:
        """The dates from `first` to `last` on which anything can be booked at all.

        The first and the last of them; reversed where there is none.
        """
        earliest, latest = self.bookable_span(now)
        return max(first, self.local_date(earliest)), min(last, self.local_date(latest))

    def utc_days(self, first: date, last: date) -> tuple[int, ...]:
        """The UTC days that slots of these dates, with their buffers, touch."""
        days = self._utc_days.get((first, last))
        if days is None:
            grids = [self.grid(day) for day in dates_from(first, last)]
            days = tuple(sorted({utc_day for grid in grids for utc_day in grid.utc_days}))
            if len(self._utc_days) >= KEPT_SPANS:
                self._utc_days.clear()
            self._utc_days[first, last] = days
        return days

    def slot_at(self, start: int) -> Slot:
        """A slot's length from any start on, and what it claims with its buffers."""
        schedule = self.schedule
        end = start + schedule.slot_minutes * 60
        before = schedule.buffer_before_minutes * 60
        after = schedule.buffer_after_minutes * 60
        claimed = claims_of(start - before, end + after)
        return Slot(start, end, claimed, claims_of(start, end) if before or after else claimed)

    def compute(self, day: date) -> DayGrid:
        """The slots of a date, computed anew."""
        length = self.schedule.slot_minutes * 60
        hours = hours_on(self.schedule, self.overrides, day)
        runs = tuple(runs_of(self._zone, day, hours)) if hours else ()
        # Sorted, since on a day with a repeated hour the runs of two intervals may alternate.
        starts = sorted(
            start
            for run_start, run_end in runs
            for start in range(run_start, run_end - length + 1, length)
        )
        slots = {start: self.slot_at(start) for start in starts}
        utc_days = sorted({utc_day for slot in slots.values() for utc_day in slot.doctor_claims})
        return DayGrid(runs, slots, tuple(utc_days))


def runs_of(zone: ZoneInfo, day: date, hours: tuple[Interval, ...]) -> Iterator[tuple[int, int]]:
    """The unbroken runs of instants that each interval of a date covers, as `[start, end)`."""
    midnight = day_number(day) * DAY_SECONDS
    stretches = constant_offsets(zone, midnight + _DATE_BEGINS, midnight + _DATE_ENDS)
    for interval in hours:
        run: tuple[int, int] | None = None
        for begin, end, offset in stretches:
            start = max(begin, midnight + interval.start * 60 - offset)
            stop = min(end, midnight + interval.end * 60 - offset)
            if start >= stop:
                continue
            if run is not None and run[1] == start:
                run = (run[0], stop)
                continue
            if run is not None:
                yield run
            run = (start, stop)
        if run is not None:
            yield run


def constant_offsets(
    zone: ZoneInfo, begin: int, end: int, sample: int = _SAMPLE
) -> list[tuple[int, int, int]]:
    """`[begin, end)` cut where the zone's offset changes: (begin, end, offset), in seconds.

    Args:
        sample: so far apart the zone is looked at: what changes and changes back between two looks
            isn't seen.
    """
    stretches: list[tuple[int, int, int]] = []
    start, offset = begin, _offset_at(zone, begin)
    for moment in range(begin, end, sample):
        following = min(moment + sample, end)
        changed = _offset_at(zone, following)
        if changed != offset:
            change = _change_between(zone, moment, following, offset)
            stretches.append((start, change, offset))
            start, offset = change, changed
    stretches.append((start, end, offset))
    return stretches


def _change_between(zone: ZoneInfo, low: int, high: int, offset: int) -> int:
    """The first second in `(low, high]` whose offset isn't `offset` any more."""
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset_at(zone: ZoneInfo, moment: int) -> int:
    delta = datetime.fromtimestamp(moment, zone).utcoffset()
    if delta is None:
        raise ValueError("a zone without offsets")
    return int(delta.total_seconds())


def open_slots(
    hours: Hours,
    dates: tuple[date, date],
    now: datetime,
    *,
    doctor_busy: Claims,
    patient_busy: Claims = FREE,
) -> Iterator[OpenDay]:
    """What can be booked now on each date from the first to the last of `dates`."""
    earliest, latest = hours.bookable_span(now)
    for day in dates_from(*dates):
        grid = hours.grid(day)
        if not grid.slots:
            continue
        within = next(iter(grid.slots)) >= earliest and next(reversed(grid.slots)) <= latest
        if within and not any(
            doctor_busy.get(utc_day) or patient_busy.get(utc_day) for utc_day in grid.utc_days
        ):
            yield OpenDay(grid, None)
            continue
        yield OpenDay(
            grid,
            tuple(
                slot
                for slot in grid.slots.values()
                if earliest <= slot.start <= latest
                and not overlap(slot.doctor_claims, doctor_busy)
                and not overlap(slot.patient_claims, patient_busy)
            ),
        )


def find_slot(hours: Hours, starts_at: datetime, now: datetime) -> Slot | str:
    """The slot that starts then, or the code of why the hours don't allow it."""
    earliest, latest = hours.bookable_span(now)
    moment = starts_at.timestamp()
    if moment < earliest:
        return "too_soon"
    if moment > latest:
        return "too_far"
    start = int(moment)
    grid = hours.grid(hours.local_date(start))
    slot = grid.slots.get(start)
    if slot is not None and starts_at.microsecond == 0:
        return slot
    length = hours.schedule.slot_minutes * 60
    fits = any(begin <= moment and moment + length <= end for begin, end in grid.runs)
    return "misaligned" if fits else "outside_hours"


def refusal_of(slot: Slot, *, doctor_busy: Claims, patient_busy: Claims) -> str | None:
    """The code of why a slot can't be booked over what is busy; None if it can."""
    if overlap(slot.doctor_claims, doctor_busy):
        return "slot_taken"
    if overlap(slot.patient_claims, patient_busy):
        return "patient_busy"
    return None


def moment_of(seconds: int) -> datetime:
    """Unix seconds as an aware UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)
