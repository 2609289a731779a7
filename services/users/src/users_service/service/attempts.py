"""Failed attempts: counted in the database, so that over all instances there are only so many."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from users_service.domain.audit import Entry
from users_service.domain.sessions import (
    ATTEMPTS_PER_ADDRESS,
    ATTEMPTS_WINDOW,
    Failure,
    blocked_for,
    email_digest,
)
from users_service.errors import TooManyAttemptsError
from users_service.store import SessionStore

T = TypeVar("T")


class Attempts:
    """How often passwords and codes may still be tried."""

    def __init__(self, store: SessionStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def check(self, address: str, digest: str, beyond: int = 0) -> None:
        """Raises TooManyAttemptsError if nobody at the address may try for that e-mail now.

        Args:
            beyond: as for `blocked_for`.
        """
        now = self._clock()
        newest = await self._store.failures(
            address, now - ATTEMPTS_WINDOW, ATTEMPTS_PER_ADDRESS + beyond
        )
        seconds = blocked_for(newest, digest, now, beyond=beyond)
        if seconds is not None:
            raise TooManyAttemptsError(seconds)

    async def failed(self, address: str, digest: str, entry: Entry) -> None:
        """Counts a failure, with its entry in the log. Raises TooManyAttemptsError."""
        await self._store.add_failure(address, Failure(digest, self._clock()), entry)
        # Counted after its own was stored: of many guesses sent at once, no more than the
        # limit are told that they were wrong, however they interleave over the instances.
        await self.check(address, digest, beyond=1)

    async def guess(self, user_id: str, attempt: Callable[[], Awaitable[T | None]]) -> T | None:
        """What comes of an attempt at an account's second factor, from wherever; None if it fails.

        A code has a million values and is checked in no time. So each attempt is counted before
        it is made: of a thousand sent at once the limit are looked at, and not one more. Only who
        knows the password comes so far, so nobody else can lock the owner out by this.

        Raises:
            TooManyAttemptsError: 10 failed within 15 minutes; the code isn't even looked at.
        """
        place = f"second factor {user_id}"
        digest = email_digest(place)
        await self.check(place, digest)
        reserved = await self._store.reserve_attempt(place, Failure(digest, self._clock()))
        await self.check(place, digest, beyond=1)
        result = await attempt()
        if result is not None:
            await self._store.release_attempt(reserved)
        return result
