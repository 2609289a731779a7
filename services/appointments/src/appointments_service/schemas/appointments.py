"""Appointments on the wire: as they are booked, changed, shown and looked for."""

from datetime import datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PlainSerializer, StringConstraints

from appointments_service.domain import appointments
from appointments_service.domain.appointments import Status
from appointments_service.errors import InvalidFieldError
from servicekit.paging import Page, Paged
from servicekit.wire import Id, Instant, Wire, format_instant, parse_date, parse_instant

Text = Annotated[str, StringConstraints(max_length=1000)]


class NewAppointment(Wire):
    """A booking. Doctors and staff name the patient.

    With `override`, which only the staff may give and must give a reason for, the time is taken
    whoever else holds it, and whatever the hours, the notice and the horizon say.
    """

    doctor_id: Id
    starts_at: Instant
    reason: Text | None = None
    patient_id: Id | None = None
    override: bool = False


class Reschedule(Wire):
    """Where to move an appointment."""

    starts_at: Instant


class Cancellation(Wire):
    """Why, if anybody wants to say, and what: with `series`, all later ones of it that are booked,
    too, in one go.
    """

    reason: Text | None = None
    series: Literal["remaining"] | None = None


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
    series_id: str | None

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
            series_id=appointment.series_id,
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
