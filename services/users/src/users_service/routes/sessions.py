"""Where the caller is signed in."""

from collections.abc import Sequence
from typing import Final

from servicekit.auth import people
from servicekit.operations import AnyOperation, Operation
from servicekit.paging import Paged
from users_service import errors, schemas
from users_service.handlers import sessions
from users_service.routes.problems import DATABASE

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="GET",
        path="/v1/auth/sessions",
        handler=sessions.list_sessions,
        access=people(),
        summary="Where the caller is signed in",
        query=Paged,
        answers={200: schemas.SessionPage},
        problems=DATABASE,
    ),
    Operation(
        method="DELETE",
        path="/v1/auth/sessions/{id}",
        handler=sessions.end_session,
        access=people(note="the caller's own"),
        summary="Sign out there: end the session's refresh tokens",
        answers={204: None},
        problems=(errors.UnknownSessionError, *DATABASE),
    ),
)
