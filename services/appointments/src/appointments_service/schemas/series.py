"""Series on the wire."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from appointments_service.domain import appointments
from appointments_service.schemas.appointments import Appointment, Text
from servicekit.wire import Id, Instant, Wire


class NewSeries(Wire):
    """Appointments at the same time by the clocks of the schedule's zone, every so many weeks.

    Doctors and staff name the patient.
    """

    doctor_id: Id
    starts_at: Instant
    every_weeks: Annotated[int, Field(ge=1, le=52)]
    count: Annotated[int, Field(ge=1, le=12)]
    reason: Text | None = None
    patient_id: Id | None = None


class Series(Wire):
    """The appointments that were booked together, in order."""

    items: list[Appointment]

    @classmethod
    def of(cls, made: Iterable[appointments.Appointment]) -> "Series":
        """From the domain."""
        return cls.model_construct(items=[Appointment.of(one) for one in made])
