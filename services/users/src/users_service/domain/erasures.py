"""Closing an account: what stays of it, and when what others keep of the person is erased."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from users_service.domain.keys import ACCESS_TOKEN_LIFETIME
from users_service.domain.users import Status, User

SETTLED_AFTER: Final = ACCESS_TOKEN_LIFETIME + timedelta(minutes=20)
"""From closing on, until nothing of the person can come any more.

The other services take a token until it ends, and a minute longer; with it a form can be had that
takes a file for 15 minutes. So only an erasure that begins after all of that is the last.
"""

LEASE: Final = timedelta(seconds=60)
"""For so long an erasure is one instance's, unless it renews that."""

FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased of a closed account at the other services.

    Attributes:
        next_try_at: until when it is somebody's who works on it, or is to wait.
        attempts: how many have failed since the last that did not.
    """

    user_id: str
    requested_at: datetime
    next_try_at: datetime
    attempts: int

    @property
    def settles_at(self) -> datetime:
        """From when on an erasure is the last one."""
        return self.requested_at + SETTLED_AFTER

    @property
    def pause(self) -> timedelta:
        """How long to wait after the failure of an attempt: each time twice as long."""
        return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(self.attempts, 20)))


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many erasures are not done; when the next is due, and since when the oldest is wanted.

    Both are None if there is none.
    """

    pending: int
    next_try_at: datetime | None
    oldest_requested_at: datetime | None


def closed(user: User, now: datetime) -> User:
    """What stays of an account: that there was one of this id, in which role, and since when.

    The address is unlike any that can be registered, and each closed account's own.
    """
    return replace(
        user,
        email=f"closed:{user.id}",
        full_name="",
        timezone="UTC",
        phone=None,
        birth_date=None,
        status=Status.DISABLED,
        version=user.version + 1,
        updated_at=now,
    )
