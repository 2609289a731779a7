"""Erasures."""

from collections.abc import Sequence
from typing import Final

from appointments_service import errors, schemas
from appointments_service.handlers import erasures
from appointments_service.routes.problems import STORE
from servicekit.auth import services
from servicekit.operations import AnyOperation, Operation
from servicekit.paging import Paged

_ERASURE = "/v1/appointments/erasures/{patient_id}"

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="GET",
        path=_ERASURE,
        handler=erasures.list_ids_to_erase,
        access=services("erase"),
        summary="The ids of a patient's appointments",
        query=Paged,
        answers={200: schemas.AppointmentIds},
        problems=(errors.BadPositionError, *STORE),
    ),
    Operation(
        method="POST",
        path=_ERASURE,
        handler=erasures.erase,
        access=services("erase"),
        summary="Take a patient whose account is closed out of its appointments",
        description="Names, reasons, notes and stored answers go, some with each call; times, "
        "statuses and ids stay. To be called until nothing remains; may be repeated.",
        answers={200: schemas.Erased},
        problems=STORE,
    ),
)
