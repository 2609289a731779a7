"""The wire: bodies, queries and answers of this service, as the contract names them."""

import re
from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

from appointments_service.domain import appointments, schedules
from appointments_service.domain.appointments import Status
from appointments_service.domain.schedules import DAY_MINUTES, WEEKDAYS
from appointments_service.errors import InvalidFieldError
from servicekit.paging import Page, Paged
from servicekit.wire import (
    Date,
    Id,
    Instant,
    Query,
    Wire,
    ZoneName,
    format_instant,
    parse_date,
    parse_instant,
)

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
Text = Annotated[str, StringConstraints(max_length=1000)]


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


class NewAppointment(Wire):
    """A booking. Doctors and staff name the patient."""

    doctor_id: Id
    starts_at: Instant
    reason: Text | None = None
    patient_id: Id | None = None


class Reschedule(Wire):
    """Where to move an appointment."""

    starts_at: Instant


class Cancellation(Wire):
    """Why, if anybody wants to say."""

    reason: Text | None = None


class Appointment(Wire):
    """One patient's time with one doctor."""

    id: str
    patient_id: str
    patient_name: str
    doctor_id: str
    doctor_name: str
    starts_at: Instant
    ends_at: Instant
    timezone: str
    status: Annotated[Status, PlainSerializer(str, return_type=str)]
    reason: str | None
    version: int
    created_at: Instant
    updated_at: Instant
    cancelled_by: str | None
    override: bool

    @classmethod
    def of(cls, appointment: appointments.Appointment) -> "Appointment":
        """From the domain, which has checked all of it."""
        return cls.model_construct(
            id=appointment.id,
            patient_id=appointment.patient_id,
            patient_name=appointment.patient_name,
            doctor_id=appointment.doctor_id,
            doctor_name=appointment.doctor_name,
            starts_at=appointment.starts_at,
            ends_at=appointment.ends_at,
            timezone=appointment.timezone,
            status=appointment.status,
            reason=appointment.reason,
            version=appointment.version,
            created_at=appointment.created_at,
            updated_at=appointment.updated_at,
            cancelled_by=appointment.cancelled_by,
            override=appointment.override,
        )


class AppointmentList(Page[Appointment]):
    """Appointments by start."""


class Change(Wire):
    """One line of an appointment's history."""

    at: Instant
    actor_id: str
    actor_role: str
    from_status: str | None
    to_status: str
    starts_at: Instant
    note: str | None


class History(Page[Change]):
    """All that happened to an appointment, in order."""

    @classmethod
    def of(cls, appointment: appointments.Appointment) -> "History":
        """From the domain. A history is short: it is always one page."""
        return cls(
            items=[
                Change(
                    at=change.at,
                    actor_id=change.actor_id,
                    actor_role=change.actor_role,
                    from_status=change.from_status,
                    to_status=change.to_status,
                    starts_at=change.starts_at,
                    note=change.note,
                )
                for change in appointment.history
            ],
            next_cursor=None,
        )


class AppointmentIds(Page[str]):
    """The ids of a patient's appointments."""


class Erased(Wire):
    """How far an erasure has come; `remaining`: call again, there may be more to do."""

    remaining: bool


def _date_or_instant(text: str) -> str:
    try:
        parse_date(text)
    except ValueError:
        parse_instant(text)
    return text


DateOrInstant = Annotated[str, StringConstraints(max_length=64), AfterValidator(_date_or_instant)]


class AppointmentFilter(Paged):
    """Which appointments. A date is a day of the clinic's zone; `to` includes a date, and excludes
    an instant.
    """

    from_: Annotated[DateOrInstant | None, Field(alias="from")] = None
    to: DateOrInstant | None = None
    status: Status | None = None
    patient_id: Id | None = None
    doctor_id: Id | None = None

    def since(self, clinic: ZoneInfo) -> datetime | None:
        """From which start on."""
        return _bound("from", self.from_, clinic, 0)

    def until(self, clinic: ZoneInfo) -> datetime | None:
        """Up to which start."""
        return _bound("to", self.to, clinic, 1)


def _bound(name: str, text: str | None, clinic: ZoneInfo, days: int) -> datetime | None:
    if text is None:
        return None
    try:
        day = parse_date(text)
    except ValueError:
        return parse_instant(text)
    try:
        moment = datetime.combine(day + timedelta(days=days), time(), clinic)
        return parse_instant(format_instant(moment))
    except OverflowError:  # the last days of the calendar: no appointment is there
        raise InvalidFieldError(("query", name), "outside of the years 1 to 9999") from None
