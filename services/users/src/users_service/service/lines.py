"""The line of those who bring a password, in order of arrival."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from users_service.errors import TooBusyError

LONGEST_WAIT_SECONDS: Final = 10.0
"""For a place. An operation is given up after 30 seconds."""

_FIRST_GUESS_SECONDS: Final = 0.1  # for which a place is kept, until that is measured
_WEIGHT: Final = 0.1  # of the newest measurement among those before it


class Line:
    """A few at a time go on, to the database and to have a password hashed; the others wait.

    So a flood of logins takes neither the machine nor the connections of those who come for
    anything else. Nor may the line be longer than what can be served in time: it helps nobody to
    be served after having given up.

    Args:
        places: how many go on at once.
        monotonic: seconds that never go back.
    """

    def __init__(self, places: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._size = places
        self._places = asyncio.Semaphore(places)
        self._monotonic = monotonic
        self._seconds = _FIRST_GUESS_SECONDS
        self._asked = 0

    @property
    def waiting(self) -> int:
        """How many have no place yet."""
        return max(0, self._asked - self._size)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Waits for a place, and keeps it until the end of the context.

        Raises:
            TooBusyError: too many wait already.
        """
        expected = self._expected_wait()
        if expected > LONGEST_WAIT_SECONDS:
            raise TooBusyError(math.ceil(expected))
        self._asked += 1
        try:
            async with self._places:
                began = self._monotonic()
                try:
                    yield
                finally:
                    self._seconds += _WEIGHT * (self._monotonic() - began - self._seconds)
        finally:
            self._asked -= 1

    def _expected_wait(self) -> float:
        """In how many seconds one more would have a place."""
        before = max(0, self._asked - self._size + 1)
        return before * self._seconds / self._size
