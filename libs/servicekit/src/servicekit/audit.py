"""The trail of who has read whose data: one log event a read, and nothing of what was read.

Why the log and no table: docs/adr/0011.
"""

from collections.abc import Iterable
from typing import Any

import structlog

from servicekit.context import ROUTE
from servicekit.operations import Call

log = structlog.get_logger()


def audit_read(call: Call[Any, Any], subjects: Iterable[str]) -> None:
    """Logs `audit`: that the caller is about to be told something of other people.

    Args:
        subjects: the ids of those whom it is about. Of one's own data there is no event.
    """
    audit_read_by(call, call.caller.id, call.caller.role, subjects)


def audit_read_by(call: Call[Any, Any], reader: str, role: str, subjects: Iterable[str]) -> None:
    """`audit_read` where no token tells who reads: it happens in the name of `reader`."""
    others = sorted(set(subjects) - {reader})
    if others:
        log.info("audit", action=call.request[ROUTE], caller=reader, role=role, subjects=others)
