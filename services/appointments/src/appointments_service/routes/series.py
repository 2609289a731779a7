"""Series of appointments."""

from collections.abc import Sequence
from typing import Final

from appointments_service import errors, schemas
from appointments_service.handlers import series
from appointments_service.routes.problems import STORE, USERS
from servicekit.auth import people
from servicekit.operations import AnyOperation, Operation

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="POST",
        path="/v1/appointments/series",
        handler=series.book_series,
        access=people(note="patients for themselves, doctors into their own schedule, staff"),
        summary="Book several weeks at once, all or none",
        description="The wall-clock time in the schedule's zone stays the same over changes of the "
        "clocks. `series_conflict` has `conflicts`: the start of each appointment that can't be, "
        "and the code that booking it would answer.",
        body=schemas.NewSeries,
        answers={201: schemas.Series},
        problems=(
            errors.UnknownDoctorError,
            errors.UnknownPatientError,
            errors.DoctorUnavailableError,
            errors.SeriesConflictError,
            errors.IdempotencyKeyReusedError,
            *USERS,
            *STORE,
        ),
        idempotent=True,
    ),
)
