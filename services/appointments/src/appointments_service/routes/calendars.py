"""Calendar feeds."""

from collections.abc import Sequence
from typing import Final

from appointments_service import errors, schemas
from appointments_service.handlers import calendars
from appointments_service.routes.problems import STORE, USERS
from servicekit.auth import anyone, people
from servicekit.operations import AnyOperation, Operation

_OWNERS = people("patient", "doctor")

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="POST",
        path="/v1/calendars",
        handler=calendars.open_calendar,
        access=_OWNERS,
        summary="A new address to subscribe to the own calendar at",
        description="The one before it ends. Whoever has the address can read the calendar: times, "
        "and with whom; of patients only the initials.",
        answers={201: schemas.Calendar},
        problems=STORE,
    ),
    Operation(
        method="DELETE",
        path="/v1/calendars",
        handler=calendars.close_calendar,
        access=_OWNERS,
        summary="End the own calendar's address",
        answers={204: None},
        problems=STORE,
    ),
    Operation(
        method="GET",
        path="/v1/calendars/{secret}.ics",
        handler=calendars.get_calendar,
        access=anyone(note="whoever has the secret"),
        summary="A calendar (RFC 5545)",
        description="The past 30 days and all that is to come, at most 2,000 appointments.",
        answers={200: None, 304: None},
        media_types={200: "text/calendar"},
        problems=(*USERS, *STORE),
    ),
)
