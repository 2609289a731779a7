"""The doctors' list from a read replica."""

import time
from collections.abc import Callable
from typing import Final

import structlog

from users_service.domain.users import Doctor
from users_service.errors import StoreUnavailableError
from users_service.store import DoctorFilter
from users_service.store_mysql.database import Database
from users_service.store_mysql.users import Users

log = structlog.get_logger()

PAUSE_SECONDS: Final = 10.0
"""For how long a replica that was away is not asked: each question may take seconds to fail."""


class ReplicatedUsers(Users):
    """Implements UserStore, the list of doctors from a replica where there is one.

    Only the list: it may lag. One doctor's page is what bookings rely on for the length of a lease,
    and accounts and sessions are what the caller is judged by; those are the primary's.
    """

    def __init__(
        self,
        database: Database,
        replica: Database | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(database)
        self._replica = None if replica is None else Users(replica)
        self._monotonic = monotonic
        self._asked_again_at = float("-inf")

    async def doctors(self, chosen: DoctorFilter, after: str, limit: int) -> list[Doctor]:
        """A page of active doctors."""
        if self._replica is not None and self._monotonic() >= self._asked_again_at:
            try:
                return await self._replica.doctors(chosen, after, limit)
            except StoreUnavailableError as error:
                self._asked_again_at = self._monotonic() + PAUSE_SECONDS
                log.warning("the replica is away", reason=str(error))
        return await super().doctors(chosen, after, limit)
