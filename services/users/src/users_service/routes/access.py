"""Who may use an operation, beyond what all services have in common."""

from typing import Final

from servicekit.auth import PEOPLE, Access
from users_service.domain.second_factors import ENROLLING

OWN_OR_ENROLLING: Final = Access(
    "required",
    roles=PEOPLE | {ENROLLING},
    note="the caller's own, also while a second factor must be set up",
)
"""No other operation of any service names the role, so a token with it opens nothing else."""
