"""Hashing passwords with argon2id (RFC 9106), off the event loop and a few at a time."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from users_service.domain.passwords import normalized

T = TypeVar("T")


class PasswordHasher:
    """argon2id in a pool of threads; a context manager, at whose end the threads are gone.

    The pool is small on purpose: a hash takes a core and all of `memory_kib` while it runs. Whoever
    has one made waits in a line before (`lines.Line`), so that none is long here.

    Args:
        time_cost, memory_kib, parallelism: argon2's t, m and p; RFC 9106's second recommended
            option is 3, 65536 and 4.
        workers: how many hashes are made at once.
    """

    def __init__(self, *, time_cost: int, memory_kib: int, parallelism: int, workers: int) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism
        )
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
        """The password's hash, with parameters and salt in it."""
        return await self._run(lambda: self._argon2.hash(normalized(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the hash is the password's. None, for no account, costs just as much work."""
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

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
