"""The audit log."""

from collections.abc import Sequence
from typing import Final

from servicekit.auth import people
from servicekit.operations import AnyOperation, Operation
from users_service import schemas
from users_service.handlers import audit
from users_service.routes.problems import DATABASE

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="GET",
        path="/v1/users/audit",
        handler=audit.list_audit,
        access=people("admin"),
        summary="Who did what, newest first",
        description="Reading it is recorded as well.",
        query=schemas.AuditQuery,
        answers={200: schemas.AuditPage},
        problems=DATABASE,
    ),
)
