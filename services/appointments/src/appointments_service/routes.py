"""Every operation of this service, once, and what each domain error is on the wire."""

from collections.abc import Mapping

from appointments_service import errors, handlers, schemas
from servicekit.auth import anyone, anyone_or_caller, people, services
from servicekit.operations import AnyOperation, Operation
from servicekit.paging import Paged
from servicekit.problems import (
    BAD_CURSOR,
    NOT_FOUND,
    STORE_UNAVAILABLE,
    VALIDATION_FAILED,
    VERSION_MISMATCH,
    Problem,
)

PROBLEMS: Mapping[type[Exception], Problem] = {
    errors.NotFoundError: NOT_FOUND,
    errors.ForbiddenError: Problem(403, "forbidden", "The caller may not do this"),
    errors.NoScheduleError: Problem(404, "no_schedule", "The doctor has no schedule"),
    errors.BadScheduleError: Problem(422, "bad_schedule", "The hours overlap or are reversed"),
    errors.InvalidFieldError: VALIDATION_FAILED,
    errors.BadPositionError: BAD_CURSOR,
    errors.VersionMismatchError: VERSION_MISMATCH,
    errors.UnknownDoctorError: Problem(422, "unknown_doctor", "There is no such doctor"),
    errors.UnknownPatientError: Problem(422, "unknown_patient", "There is no such patient"),
    errors.DoctorUnavailableError: Problem(
        422, "doctor_unavailable", "The doctor takes no appointments"
    ),
    errors.TooSoonError: Problem(422, "too_soon", "The time is too soon"),
    errors.TooFarError: Problem(422, "too_far", "The time is too far ahead"),
    errors.OutsideHoursError: Problem(422, "outside_hours", "The time is outside of the hours"),
    errors.MisalignedError: Problem(422, "misaligned", "No appointment starts at this time"),
    errors.SlotTakenError: Problem(409, "slot_taken", "The time is taken"),
    errors.PatientBusyError: Problem(409, "patient_busy", "The patient has another appointment"),
    errors.SameTimeError: Problem(422, "same_time", "The appointment is at this time already"),
    errors.WrongStatusError: Problem(409, "wrong_status", "The status does not allow this"),
    errors.TooManyMovesError: Problem(
        409, "too_many_moves", "The appointment was moved too often; cancel it and book anew"
    ),
    errors.TooEarlyError: Problem(409, "too_early", "The appointment has not begun"),
    errors.IdempotencyKeyReusedError: Problem(
        422, "idempotency_key_reused", "The key was used with another request"
    ),
    errors.UsersUnavailableError: Problem(
        503, "users_unavailable", "Who somebody is can't be known just now"
    ),
    errors.StoreUnavailableError: STORE_UNAVAILABLE,
}

_STORE = (errors.StoreUnavailableError,)
_USERS = (errors.UsersUnavailableError,)
_TIMES = (
    errors.DoctorUnavailableError,
    errors.TooSoonError,
    errors.TooFarError,
    errors.OutsideHoursError,
    errors.MisalignedError,
    errors.SlotTakenError,
    errors.PatientBusyError,
)
_INVOLVED = people(note="its patient, its doctor, staff")
_STAFF = people("doctor", "admin", note="its doctor, staff")
_OWN_SCHEDULE = people("doctor", "admin", note="the doctor's own, staff")
_SCHEDULE = "/v1/schedules/{doctor_id}"
_APPOINTMENT = "/v1/appointments/{id}"
_ERASURE = "/v1/appointments/erasures/{patient_id}"

OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        method="PUT",
        path=_SCHEDULE,
        handler=handlers.put_schedule,
        access=_OWN_SCHEDULE,
        summary="Set a doctor's hours",
        body=schemas.NewSchedule,
        answers={200: schemas.Schedule},
        problems=(errors.BadScheduleError, *_USERS, *_STORE),
        versioned=True,
    ),
    Operation(
        method="GET",
        path=_SCHEDULE,
        handler=handlers.get_schedule,
        access=anyone(),
        summary="A doctor's hours",
        answers={200: schemas.Schedule},
        problems=(errors.NoScheduleError, *_STORE),
        versioned=True,
    ),
    Operation(
        method="PUT",
        path=_SCHEDULE + "/overrides/{date}",
        handler=handlers.put_override,
        access=_OWN_SCHEDULE,
        summary="Set the hours of one date",
        body=schemas.NewOverride,
        answers={200: schemas.Override},
        problems=(errors.NoScheduleError, errors.BadScheduleError, *_USERS, *_STORE),
        versioned=True,
    ),
    Operation(
        method="DELETE",
        path=_SCHEDULE + "/overrides/{date}",
        handler=handlers.delete_override,
        access=_OWN_SCHEDULE,
        summary="Put the weekly hours in force again on one date",
        answers={204: None},
        problems=(errors.NoScheduleError, *_USERS, *_STORE),
        versioned=True,
    ),
    Operation(
        method="GET",
        path=_SCHEDULE + "/overrides",
        handler=handlers.list_overrides,
        access=anyone(),
        summary="A doctor's overrides",
        query=schemas.OverrideFilter,
        answers={200: schemas.OverrideList},
        problems=(errors.BadPositionError, *_STORE),
    ),
    Operation(
        method="GET",
        path=_SCHEDULE + "/slots",
        handler=handlers.list_slots,
        access=anyone_or_caller("a patient's own calendar is left out"),
        summary="What can be booked now",
        query=schemas.DateRange,
        answers={200: schemas.Slots},
        problems=(errors.NoScheduleError, errors.InvalidFieldError, *_USERS, *_STORE),
    ),
    Operation(
        method="GET",
        path=_SCHEDULE + "/explain",
        handler=handlers.explain,
        access=anyone_or_caller("a patient's own calendar is looked at"),
        summary="Why a time can't be booked, if so",
        query=schemas.ExplainQuery,
        answers={200: schemas.Explanation},
        problems=(*_USERS, *_STORE),
    ),
    Operation(
        method="POST",
        path="/v1/appointments",
        handler=handlers.book,
        access=people(note="patients for themselves, doctors into their own schedule, staff"),
        summary="Book a time",
        body=schemas.NewAppointment,
        answers={201: schemas.Appointment},
        problems=(
            errors.UnknownDoctorError,
            errors.UnknownPatientError,
            *_TIMES,
            errors.IdempotencyKeyReusedError,
            *_USERS,
            *_STORE,
        ),
        versioned=True,
        idempotent=True,
    ),
    Operation(
        method="GET",
        path="/v1/appointments",
        handler=handlers.list_appointments,
        access=people(note="patients their own, doctors their own schedule, staff"),
        summary="Appointments by start",
        query=schemas.AppointmentFilter,
        answers={200: schemas.AppointmentList},
        problems=(errors.BadPositionError, *_STORE),
    ),
    Operation(
        method="GET",
        path=_APPOINTMENT,
        handler=handlers.get_appointment,
        access=_INVOLVED,
        summary="One appointment",
        answers={200: schemas.Appointment},
        problems=_STORE,
        versioned=True,
    ),
    Operation(
        method="GET",
        path=_APPOINTMENT + "/history",
        handler=handlers.get_history,
        access=_INVOLVED,
        summary="All that happened to an appointment",
        answers={200: schemas.History},
        problems=_STORE,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/reschedule",
        handler=handlers.reschedule,
        access=_INVOLVED,
        summary="Move an appointment",
        body=schemas.Reschedule,
        answers={200: schemas.Appointment},
        problems=(
            *_TIMES,
            errors.SameTimeError,
            errors.WrongStatusError,
            errors.TooManyMovesError,
            errors.IdempotencyKeyReusedError,
            *_STORE,
        ),
        versioned=True,
        idempotent=True,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/cancel",
        handler=handlers.cancel,
        access=_INVOLVED,
        summary="Give the time back",
        body=schemas.Cancellation,
        answers={200: schemas.Appointment},
        problems=(errors.WrongStatusError, *_STORE),
        versioned=True,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/check-in",
        handler=handlers.check_in,
        access=_STAFF,
        summary="The patient is there",
        answers={200: schemas.Appointment},
        problems=(errors.WrongStatusError, *_STORE),
        versioned=True,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/complete",
        handler=handlers.complete,
        access=_STAFF,
        summary="The appointment has taken place",
        answers={200: schemas.Appointment},
        problems=(errors.WrongStatusError, *_STORE),
        versioned=True,
    ),
    Operation(
        method="POST",
        path=_APPOINTMENT + "/no-show",
        handler=handlers.no_show,
        access=_STAFF,
        summary="The patient did not come",
        answers={200: schemas.Appointment},
        problems=(errors.WrongStatusError, errors.TooEarlyError, *_STORE),
        versioned=True,
    ),
    Operation(
        method="GET",
        path=_ERASURE,
        handler=handlers.list_ids_to_erase,
        access=services("erase"),
        summary="The ids of a patient's appointments",
        query=Paged,
        answers={200: schemas.AppointmentIds},
        problems=(errors.BadPositionError, *_STORE),
    ),
    Operation(
        method="POST",
        path=_ERASURE,
        handler=handlers.erase,
        access=services("erase"),
        summary="Take a patient whose account is closed out of its appointments",
        description="Names, reasons, notes and stored answers go, some with each call; times, "
        "statuses and ids stay. To be called until nothing remains; may be repeated.",
        answers={200: schemas.Erased},
        problems=_STORE,
    ),
)
