"""Every operation of the service, once, and what its errors are on the wire."""

from collections.abc import Sequence
from typing import Final

from appointments_service.routes import appointments, calendars, erasures, schedules, series
from appointments_service.routes.problems import PROBLEMS
from servicekit.operations import AnyOperation

__all__ = ["OPERATIONS", "PROBLEMS"]

OPERATIONS: Final[Sequence[AnyOperation]] = (
    *schedules.OPERATIONS,
    *appointments.OPERATIONS,
    *series.OPERATIONS,
    *calendars.OPERATIONS,
    *erasures.OPERATIONS,
)
