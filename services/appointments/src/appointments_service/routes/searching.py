"""A search over all doctors of a specialty."""

from collections.abc import Sequence
from typing import Final

from appointments_service import errors, schemas
from appointments_service.handlers import searching
from appointments_service.routes.problems import STORE, USERS
from servicekit.auth import anyone_or_caller
from servicekit.operations import AnyOperation, Operation

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="GET",
        path="/v1/slots",
        handler=searching.search_slots,
        access=anyone_or_caller("a patient's own calendar is left out"),
        summary="The earliest open slots over all doctors of a specialty",
        description="Dates are both included, at most 62, each in its schedule's zone.",
        query=schemas.Search,
        answers={200: schemas.OpenSlots},
        problems=(errors.InvalidFieldError, *USERS, *STORE),
    ),
)
