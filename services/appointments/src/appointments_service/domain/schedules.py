"""A doctor's hours: weekly ones, and what overrides them on a date."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

from appointments_service.errors import BadScheduleError

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Interval:
    """Wall-clock hours of one day: minutes after midnight, `start` in it and `end` not."""

    start: int
    end: int


def check_hours(hours: Iterable[Interval]) -> tuple[Interval, ...]:
    """The hours of one day in order. Raises BadScheduleError if they overlap or are reversed."""
    ordered = tuple(sorted(hours, key=lambda interval: interval.start))
    for interval in ordered:
        if not 0 <= interval.start < interval.end <= DAY_MINUTES:
            raise BadScheduleError("an interval must end after it starts, within one day")
    for earlier, later in pairwise(ordered):
        if later.start < earlier.end:
            raise BadScheduleError("two intervals of one day overlap")
    return ordered


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a doctor takes appointments, and how. Minutes are multiples of 5."""

    doctor_id: str
    timezone: str
    weekly: Mapping[str, tuple[Interval, ...]]
    slot_minutes: int
    buffer_before_minutes: int
    buffer_after_minutes: int
    min_notice_minutes: int
    horizon_days: int
    version: int
    valid_from: datetime


@dataclass(frozen=True, slots=True)
class Override:
    """The hours of one date, instead of the weekly ones; none means closed."""

    doctor_id: str
    date: date
    hours: tuple[Interval, ...]
    version: int


def hours_on(
    schedule: Schedule, overrides: Mapping[date, Override], day: date
) -> tuple[Interval, ...]:
    """The hours in force on a date."""
    override = overrides.get(day)
    if override is not None:
        return override.hours
    return schedule.weekly.get(WEEKDAYS[day.weekday()], ())
