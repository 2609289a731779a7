"""Every operation of the service, once, and what its errors are on the wire."""

from collections.abc import Sequence
from typing import Final

from appointments_service.routes import (
    appointments,
    calendars,
    erasures,
    schedules,
    searching,
    series,
    waitlist,
)
from appointments_service.routes.problems import PROBLEMS
from servicekit.operations import AnyOperation

__all__ = ["OPERATIONS", "PROBLEMS"]

OPERATIONS: Final[Sequence[AnyOperation]] = (
    *schedules.OPERATIONS,
    *searching.OPERATIONS,
    *appointments.OPERATIONS,
    *series.OPERATIONS,
    *calendars.OPERATIONS,
    *waitlist.OPERATIONS,
    *erasures.OPERATIONS,
)
