"""What can go wrong with schedules and appointments, in the domain's words."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any


class AppointmentsError(Exception):
    """Base of all that is refused here. `code` is the contract's word for it."""

    code = ""

    def __init__(self, detail: str = "", *, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.members = dict(members or {})


class NotFoundError(AppointmentsError):
    """No such thing, or none that the caller may know of: both look the same."""


class ForbiddenError(AppointmentsError):
    """The caller may know of it, and may not do this."""


class NoScheduleError(AppointmentsError):
    """The doctor has no schedule."""


class BadScheduleError(AppointmentsError):
    """Overlapping or reversed hours."""


class InvalidFieldError(AppointmentsError):
    """A field that is well formed and still not acceptable, such as the end of a reversed range.

    Args:
        place: where it stands: in the "body", the "query" or the "path", and its name.
    """

    def __init__(self, place: tuple[str, str], reason: str) -> None:
        error = {"loc": list(place), "msg": reason, "type": "value_error"}
        super().__init__(reason, members={"errors": [error]})


class BadPositionError(AppointmentsError):
    """A position in a list that none of its pages ended at."""


class VersionMismatchError(AppointmentsError):
    """The thing is not in the version that the caller wants to change."""


class NotBookableError(AppointmentsError):
    """A time that can't be booked; each subclass is one reason."""


class UnknownDoctorError(NotBookableError):
    """There is no such doctor."""

    code = "unknown_doctor"


class UnknownPatientError(NotBookableError):
    """There is no such patient."""

    code = "unknown_patient"


class DoctorUnavailableError(NotBookableError):
    """The doctor takes no patients, or has no schedule."""

    code = "doctor_unavailable"


class TooSoonError(NotBookableError):
    """Before the end of the notice that the doctor wants."""

    code = "too_soon"


class TooFarError(NotBookableError):
    """Behind the horizon up to which the doctor takes bookings."""

    code = "too_far"


class OutsideHoursError(NotBookableError):
    """Not within the doctor's hours."""

    code = "outside_hours"


class MisalignedError(NotBookableError):
    """Within the hours, and not one of the starts."""

    code = "misaligned"


class SlotTakenError(NotBookableError):
    """Another appointment of the doctor holds the time."""

    code = "slot_taken"


class PatientBusyError(NotBookableError):
    """Another appointment of the patient holds the time."""

    code = "patient_busy"


class SeriesConflictError(AppointmentsError):
    """Some appointments of a series can't be, so none is.

    Args:
        conflicts: the start of each of them, and the code that booking it would answer.
    """

    def __init__(self, conflicts: Iterable[tuple[datetime, str]]) -> None:
        shown = [{"starts_at": _utc(start), "code": code} for start, code in conflicts]
        super().__init__("some of the times can't be booked", members={"conflicts": shown})


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


class SameTimeError(AppointmentsError):
    """A move to where the appointment is already."""


class WrongStatusError(AppointmentsError):
    """The appointment's status doesn't allow this."""


class TooManyMovesError(AppointmentsError):
    """The appointment has been moved as often as one may be."""


class TooEarlyError(AppointmentsError):
    """Nobody has missed an appointment that hasn't begun."""


class OfferExpiredError(AppointmentsError):
    """No time is held for the entry: none was offered, or the offer has lapsed."""


class TooManyEntriesError(AppointmentsError):
    """The patient waits for as much as one may."""


class IdempotencyKeyReusedError(AppointmentsError):
    """The key was used before, with another request."""


class UsersUnavailableError(AppointmentsError):
    """Who somebody is can't be known just now."""


class StoreUnavailableError(AppointmentsError):
    """The store is away, or too busy to answer in time."""


NOT_BOOKABLE: Mapping[str, type[NotBookableError]] = {
    kind.code: kind
    for kind in (
        UnknownDoctorError,
        UnknownPatientError,
        DoctorUnavailableError,
        TooSoonError,
        TooFarError,
        OutsideHoursError,
        MisalignedError,
        SlotTakenError,
        PatientBusyError,
    )
}
