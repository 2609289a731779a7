"""What each domain error is on the wire."""

from collections.abc import Mapping
from typing import Final

from appointments_service import errors
from servicekit.problems import (
    BAD_CURSOR,
    NOT_FOUND,
    STORE_UNAVAILABLE,
    VALIDATION_FAILED,
    VERSION_MISMATCH,
    Problem,
)

PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
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
    errors.SeriesConflictError: Problem(
        409, "series_conflict", "Some appointments of the series can't be"
    ),
    errors.SameTimeError: Problem(422, "same_time", "The appointment is at this time already"),
    errors.WrongStatusError: Problem(409, "wrong_status", "The status does not allow this"),
    errors.TooManyMovesError: Problem(
        409, "too_many_moves", "The appointment was moved too often; cancel it and book anew"
    ),
    errors.TooEarlyError: Problem(409, "too_early", "The appointment has not begun"),
    errors.OfferExpiredError: Problem(409, "offer_expired", "No time is held any more"),
    errors.TooManyEntriesError: Problem(
        409, "too_many_entries", "The patient waits for as much as one may"
    ),
    errors.IdempotencyKeyReusedError: Problem(
        422, "idempotency_key_reused", "The key was used with another request"
    ),
    errors.UsersUnavailableError: Problem(
        503, "users_unavailable", "Who somebody is can't be known just now"
    ),
    errors.StoreUnavailableError: STORE_UNAVAILABLE,
}

STORE: Final = (errors.StoreUnavailableError,)
"""What every operation that asks the table may end with."""

USERS: Final = (errors.UsersUnavailableError,)
"""What every operation that asks who somebody is may end with."""

TIMES: Final = (
    errors.DoctorUnavailableError,
    errors.TooSoonError,
    errors.TooFarError,
    errors.OutsideHoursError,
    errors.MisalignedError,
    errors.SlotTakenError,
    errors.PatientBusyError,
)
"""Why a time can't be taken."""
