"""Every operation of the service, once, and what its errors are on the wire."""

from collections.abc import Sequence
from typing import Final

from servicekit.operations import AnyOperation
from users_service.routes import (
    accounts,
    audit,
    auth,
    closing,
    doctors,
    passwords,
    second_factors,
    sessions,
)
from users_service.routes.problems import PROBLEMS

__all__ = ["OPERATIONS", "PROBLEMS"]

OPERATIONS: Final[Sequence[AnyOperation]] = (
    *auth.OPERATIONS,
    *passwords.OPERATIONS,
    *sessions.OPERATIONS,
    *second_factors.OPERATIONS,
    *audit.OPERATIONS,  # before the accounts, whose `/v1/users/{id}` would take its path
    *accounts.OPERATIONS,
    *doctors.OPERATIONS,
    *closing.OPERATIONS,
)
