"""What somebody shows to sign in, and what must still be so when they are."""

from dataclasses import dataclass
from datetime import datetime

from users_service.domain.second_factors import FactorState
from users_service.domain.users import User


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account with what its password is checked against."""

    user: User
    password_hash: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a login has verified: the account as it was, and the second factor that it was asked."""

    credentials: Credentials
    factors: FactorState

    @property
    def enrolling(self) -> bool:
        """Whether the account may do no more than set up its second factor."""
        return self.factors.must_enrol(self.credentials.user.role)

    def still_holds(self, credentials: Credentials | None, factors: FactorState) -> bool:
        """Whether it is so of what is stored now.

        A factor is known by when it was confirmed: sealed anew, it is still the same.
        """
        if credentials is None or not credentials.user.is_active:
            return False
        now = Verified(credentials, factors)
        return (
            credentials.password_hash == self.credentials.password_hash
            and credentials.user.role is self.credentials.user.role
            and now.enrolling == self.enrolling
            and now._confirmed_at == self._confirmed_at
        )

    @property
    def _confirmed_at(self) -> datetime | None:
        factor = self.factors.confirmed
        return factor.confirmed_at if factor is not None else None
