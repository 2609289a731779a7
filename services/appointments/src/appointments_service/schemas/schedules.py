"""Hours, what overrides them, and what is open, on the wire."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from appointments_service.domain import schedules
from appointments_service.domain.schedules import DAY_MINUTES, WEEKDAYS
from appointments_service.errors import InvalidFieldError
from servicekit.paging import Page, Paged
from servicekit.wire import Date, Id, Instant, Query, Wire, ZoneName

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)


def _minutes(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time as HH:MM")
    return DAY_MINUTES if match[1] is None else int(match[1]) * 60 + int(match[2])


def _check_time(text: str) -> str:
    if _minutes(text) % 5:
        raise ValueError("must be a multiple of 5 minutes")
    return text


def _check_five(minutes: int) -> int:
    if minutes % 5:
        raise ValueError("must be a multiple of 5")
    return minutes


_TIME_SCHEMA = {"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][05]|24:00)$"}

Time = Annotated[str, AfterValidator(_check_time), WithJsonSchema(_TIME_SCHEMA)]
Minutes = Annotated[
    int, AfterValidator(_check_five), WithJsonSchema({"type": "integer", "multipleOf": 5})
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Interval(Wire):
    """Wall-clock hours, `start` in it and `end` not; `end` may be 24:00."""

    start: Time
    end: Time


def _intervals(hours: Iterable[Interval]) -> tuple[schedules.Interval, ...]:
    return schedules.check_hours(
        schedules.Interval(_minutes(one.start), _minutes(one.end)) for one in hours
    )


def _wire_intervals(hours: Iterable[schedules.Interval]) -> list[Interval]:
    def text(minutes: int) -> str:
        return f"{minutes // 60:02}:{minutes % 60:02}"

    return [Interval(start=text(one.start), end=text(one.end)) for one in hours]


Hours = Annotated[list[Interval], Field(max_length=48)]


class NewSchedule(Wire):
    """A schedule as it is set."""

    timezone: ZoneName
    weekly: dict[Weekday, Hours]
    slot_minutes: Annotated[Minutes, Field(ge=5, le=240)]
    buffer_before_minutes: Annotated[Minutes, Field(ge=0, le=60)] = 0
    buffer_after_minutes: Annotated[Minutes, Field(ge=0, le=60)] = 0
    min_notice_minutes: Annotated[Minutes, Field(ge=0, le=43_200)] = 0
    horizon_days: Annotated[int, Field(ge=1, le=730)] = 90
    doctor_id: Id | None = None
    version: int | None = None

    def to_domain(self, doctor_id: str, now: datetime) -> schedules.Schedule:
        """Raises BadScheduleError for hours that overlap or are reversed."""
        return schedules.Schedule(
            doctor_id=doctor_id,
            timezone=self.timezone,
            weekly={day: _intervals(hours) for day, hours in self.weekly.items() if hours},
            slot_minutes=self.slot_minutes,
            buffer_before_minutes=self.buffer_before_minutes,
            buffer_after_minutes=self.buffer_after_minutes,
            min_notice_minutes=self.min_notice_minutes,
            horizon_days=self.horizon_days,
            version=0,
            valid_from=now,
        )


class Schedule(Wire):
    """A doctor's hours. All minutes are multiples of 5."""

    doctor_id: str
    timezone: str
    weekly: dict[str, list[Interval]]
    slot_minutes: int
    buffer_before_minutes: int
    buffer_after_minutes: int
    min_notice_minutes: int
    horizon_days: int
    version: int

    @classmethod
    def of(cls, schedule: schedules.Schedule) -> "Schedule":
        """Every weekday is listed, also those without hours."""
        return cls(
            doctor_id=schedule.doctor_id,
            timezone=schedule.timezone,
            weekly={day: _wire_intervals(schedule.weekly.get(day, ())) for day in WEEKDAYS},
            slot_minutes=schedule.slot_minutes,
            buffer_before_minutes=schedule.buffer_before_minutes,
            buffer_after_minutes=schedule.buffer_after_minutes,
            min_notice_minutes=schedule.min_notice_minutes,
            horizon_days=schedule.horizon_days,
            version=schedule.version,
        )


class NewOverride(Wire):
    """`{"closed": true}` or `{"hours": [...]}`."""

    closed: Literal[True] | None = None
    hours: Hours | None = None

    def to_domain(self) -> tuple[schedules.Interval, ...]:
        """The hours, none for closed. Raises InvalidFieldError unless just one of both is given."""
        if (self.closed is None) == (self.hours is None):
            raise InvalidFieldError(("body", "hours"), "give either closed or hours")
        return _intervals(self.hours or ())


class Override(Wire):
    """The hours of one date, instead of the weekly ones."""

    doctor_id: str
    date: Date
    closed: bool
    hours: list[Interval]
    version: int

    @classmethod
    def of(cls, override: schedules.Override) -> "Override":
        """From the domain."""
        return cls(
            doctor_id=override.doctor_id,
            date=override.date,
            closed=not override.hours,
            hours=_wire_intervals(override.hours),
            version=override.version,
        )


class OverrideList(Page[Override]):
    """Overrides in order."""


class DateRange(Query):
    """Dates, both included."""

    from_: Annotated[Date, Field(alias="from")]
    to: Date


class OverrideFilter(Paged):
    """Overrides of which dates, both included; without bounds, all."""

    from_: Annotated[Date | None, Field(alias="from")] = None
    to: Date | None = None


class Slot(Wire):
    """A time that can be booked."""

    starts_at: Instant
    ends_at: Instant


class Slots(Wire):
    """What can be booked now, in order."""

    doctor_id: str
    timezone: str
    slots: list[Slot]


class ExplainQuery(Query):
    """Which time."""

    starts_at: Instant


class Explanation(Wire):
    """Whether a time can be booked; `code` is what booking it would answer if not."""

    bookable: bool
    code: str | None
    detail: str
