"""Hashing passwords with argon2id (RFC 9106), off the event loop and a few at a time."""

import asyncio
import math
import secrets
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from users_service.domain.passwords import normalized
from users_service.errors import TooBusyError

T = TypeVar("T")

LONGEST_WAIT_SECONDS: Final = 10.0
"""For a turn. An operation is given up after 30 seconds, and has a database to ask besides."""

_FIRST_GUESS_SECONDS: Final = 0.1  # of a hash, until one is measured
_WEIGHT: Final = 0.1  # of the newest measurement among those before it


class PasswordHasher:
    """argon2id in a pool of threads; a context manager, at whose end the threads are gone.

    The pool is small on purpose: a hash takes a core and all of `memory_kib` while it runs, and
    a flood of logins must wait in line and not take the machine. Nor may the line be longer than
    what can be done in time: nobody is served who is hashed for when they have given up.

    Args:
        time_cost, memory_kib, parallelism: argon2's t, m and p; RFC 9106's second recommended
            option is 3, 65536 and 4.
        workers: how many hashes are made at once.
        monotonic: seconds that never go back; asked in the pool's threads.
    """

    def __init__(
        self,
        *,
        time_cost: int,
        memory_kib: int,
        parallelism: int,
        workers: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism
        )
        self._workers = workers
        self._monotonic = monotonic
        self._asked = 0
        self._seconds = _FIRST_GUESS_SECONDS
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="argon2")
        # A tag drawn and not computed: with the same parameters it costs the same to refuse.
        salt, tag = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
        self._nobodys = f"$argon2id$v=19$m={memory_kib},t={time_cost},p={parallelism}${salt}${tag}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The password's hash, with parameters and salt in it. Raises TooBusyError."""
        return await self._run(lambda: self._argon2.hash(normalized(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the hash is the password's. None, for no account, costs just as much work.

        Raises:
            TooBusyError: too many wait already.
        """
        return await self._run(lambda: self._verify(password_hash, normalized(password)))

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than are asked for now."""
        return self._argon2.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            self._argon2.verify(password_hash or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return True

    @property
    def waiting(self) -> int:
        """How many are asked for and not yet being made."""
        return max(0, self._asked - self._workers)

    async def _run(self, work: Callable[[], T]) -> T:
        seconds = self._expected_wait()
        if seconds > LONGEST_WAIT_SECONDS:
            raise TooBusyError(math.ceil(seconds))
        self._asked += 1
        try:
            loop = asyncio.get_running_loop()
            result, taken = await loop.run_in_executor(self._pool, self._timed, work)
        finally:
            self._asked -= 1
        self._seconds += _WEIGHT * (taken - self._seconds)
        return result

    def _expected_wait(self) -> float:
        """In how many seconds one more would have its turn."""
        before = max(0, self._asked - self._workers + 1)
        return before * self._seconds / self._workers

    def _timed(self, work: Callable[[], T]) -> tuple[T, float]:
        began = self._monotonic()
        result = work()
        return result, self._monotonic() - began
