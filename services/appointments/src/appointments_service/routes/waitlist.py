"""The waiting list."""

from collections.abc import Sequence
from typing import Final

from appointments_service import errors, schemas
from appointments_service.handlers import waitlist
from appointments_service.routes.problems import STORE, USERS
from servicekit.auth import people
from servicekit.operations import AnyOperation, Operation
from servicekit.paging import Paged

_PATIENT = people("patient", note="its own")
_ENTRY = "/v1/waitlist/{id}"

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="POST",
        path="/v1/waitlist",
        handler=waitlist.join,
        access=people("patient"),
        summary="Wait for a time of a doctor",
        description="Whatever is or becomes free on these dates is offered to who waits longest, "
        "one time an entry, and held for it until `expires_at`. An offer that nobody accepts ends "
        "its entry.",
        body=schemas.NewWaitlist,
        answers={201: schemas.Waitlist},
        problems=(
            errors.UnknownDoctorError,
            errors.DoctorUnavailableError,
            errors.InvalidFieldError,
            errors.TooManyEntriesError,
            errors.IdempotencyKeyReusedError,
            *USERS,
            *STORE,
        ),
        versioned=True,
        idempotent=True,
    ),
    Operation(
        method="GET",
        path="/v1/waitlist",
        handler=waitlist.list_entries,
        access=people("patient"),
        summary="What one waits for, and what came of it in the last 90 days",
        query=Paged,
        answers={200: schemas.Waitlists},
        problems=(errors.BadPositionError, *STORE),
    ),
    Operation(
        method="DELETE",
        path=_ENTRY,
        handler=waitlist.leave,
        access=_PATIENT,
        summary="Wait no more",
        description="What is held for it goes to the next.",
        answers={204: None},
        problems=(errors.WrongStatusError, *STORE),
        versioned=True,
    ),
    Operation(
        method="POST",
        path=_ENTRY + "/accept",
        handler=waitlist.accept,
        access=_PATIENT,
        summary="Book what is offered",
        description="`If-Match` is about the entry, the answer's `ETag` about the appointment.",
        answers={201: schemas.Appointment},
        problems=(
            errors.OfferExpiredError,
            errors.UnknownDoctorError,
            errors.DoctorUnavailableError,
            errors.PatientBusyError,
            errors.IdempotencyKeyReusedError,
            *USERS,
            *STORE,
        ),
        versioned=True,
        idempotent=True,
    ),
)
