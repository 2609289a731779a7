"""Closing one's own account, and an export of what is stored of one."""

from collections.abc import Sequence
from typing import Final

from servicekit.auth import people
from servicekit.operations import AnyOperation, Operation
from users_service import errors, schemas
from users_service.handlers import closing
from users_service.routes.problems import DATABASE

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="DELETE",
        path="/v1/users/me",
        handler=closing.close_own_account,
        access=people(),
        summary="Close the caller's own account, for good",
        description="Personal data is erased and every session ends. What the other services "
        "keep of a patient is erased soon after; appointments keep their times.",
        answers={204: None},
        problems=(errors.LastAdminError, *DATABASE),
        versioned=True,
    ),
    Operation(
        method="GET",
        path="/v1/users/me/export",
        handler=closing.export_own_data,
        access=people(),
        summary="All that is stored of the caller",
        description="As an attachment: the account, its sign-ins, a doctor's profile, and a "
        "patient's appointments with their history and files. A large one is streamed, and the "
        "connection cut off where it can't be completed.",
        answers={200: schemas.Export},
        problems=(errors.NeighbourUnavailableError, *DATABASE),
        deadline=None,
    ),
)
