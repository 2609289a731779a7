"""Appointments."""

from collections.abc import Sequence
from typing import Final

from appointments_service import errors, schemas
from appointments_service.handlers import appointments
from appointments_service.routes.problems import STORE, TIMES, USERS
from servicekit.auth import people
from servicekit.operations import AnyOperation, Operation

_INVOLVED = people(note="its patient, its doctor, staff")
_STAFF = people("doctor", "admin", note="its doctor, staff")
_APPOINTMENT = "/v1/appointments/{id}"

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="POST",
        path="/v1/appointments",
        handler=appointments.book,
        access=people(note="patients for themselves, doctors into their own schedule, staff"),
        summary="Book a time",
        description="An override, which only the staff may give, takes the time whoever else holds "
        "it; only over another override it is refused.",
        body=schemas.NewAppointment,
        answers={201: schemas.Appointment},
        problems=(
            errors.UnknownDoctorError,
            errors.UnknownPatientError,
            *TIMES,
            errors.IdempotencyKeyReusedError,
            *USERS,
            *STORE,
        ),
        versioned=True,
        idempotent=True,
    ),
    Operation(
        method="GET",
        path="/v1/appointments",
        handler=appointments.list_appointments,
        access=people(note="patients their own, doctors their own schedule, staff"),
        summary="Appointments by start",
        query=schemas.AppointmentFilter,
        answers={200: schemas.AppointmentList},
        problems=(errors.BadPositionError, *STORE),
    ),
    Operation(
        method="GET",
        path=_APPOINTMENT,
        handler=appointments.get_appointment,
        access=_INVOLVED,
        summary="One appointment",
        answers={200: schemas.Appointment},
        problems=STORE,
        versioned=True,
    ),
    Operation(
        method="GET",
        path=_APPOINTMENT + "/history",
        handler=appointments.get_history,
        access=_INVOLVED,
        summary="All that happened to an appointment",
        answers={200: schemas.History},
        problems=STORE,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/reschedule",
        handler=appointments.reschedule,
        access=_INVOLVED,
        summary="Move an appointment",
        body=schemas.Reschedule,
        answers={200: schemas.Appointment},
        problems=(
            *TIMES,
            errors.SameTimeError,
            errors.WrongStatusError,
            errors.TooManyMovesError,
            errors.IdempotencyKeyReusedError,
            *STORE,
        ),
        versioned=True,
        idempotent=True,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/cancel",
        handler=appointments.cancel,
        access=_INVOLVED,
        summary="Give the time back",
        description="With `series`, also that of all later ones of its series that are booked: all "
        "of them or none.",
        body=schemas.Cancellation,
        answers={200: schemas.Appointment},
        problems=(errors.WrongStatusError, *STORE),
        versioned=True,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/check-in",
        handler=appointments.check_in,
        access=_STAFF,
        summary="The patient is there",
        answers={200: schemas.Appointment},
        problems=(errors.WrongStatusError, *STORE),
        versioned=True,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/complete",
        handler=appointments.complete,
        access=_STAFF,
        summary="The appointment has taken place",
        answers={200: schemas.Appointment},
        problems=(errors.WrongStatusError, *STORE),
        versioned=True,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/no-show",
        handler=appointments.no_show,
        access=_STAFF,
        summary="The patient did not come",
        answers={200: schemas.Appointment},
        problems=(errors.WrongStatusError, errors.TooEarlyError, *STORE),
        versioned=True,
    ),
)
