"""A search over all doctors of a specialty, on the wire."""

from typing import Annotated

from pydantic import StringConstraints

from appointments_service.schemas.schedules import DateRange
from servicekit.paging import Limit
from servicekit.wire import Instant, Wire


class Search(DateRange):
    """Which specialty, the whole of it in any case; which dates, and how many open slots."""

    specialty: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    limit: Limit = 50


class OpenSlot(Wire):
    """A time that can be booked, and with whom."""

    doctor_id: str
    doctor_name: str
    starts_at: Instant
    ends_at: Instant


class OpenSlots(Wire):
    """The earliest open slots, in order."""

    items: list[OpenSlot]
