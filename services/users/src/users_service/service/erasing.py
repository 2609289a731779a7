"""Erasing at the other services what they keep of a closed account, until it is done."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import structlog

from users_service.domain.erasures import LEASE, Backlog, Erasure
from users_service.errors import NeighbourUnavailableError, StoreUnavailableError
from users_service.store import ClosingStore

log = structlog.get_logger()

T = TypeVar("T")

LOOK_SECONDS: Final = 15.0
"""So often every instance looks for what another has left undone."""

PASS_SECONDS: Final = 3600.0
"""What takes longer is begun anew, so that one account can't keep an instance for ever."""


class Neighbours(Protocol):
    """What the other services do with what they keep. All of it may be repeated.

    Every method may raise NeighbourUnavailableError.
    """

    async def appointment_ids(
        self, patient_id: str, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """A page of a patient's appointments, and the cursor to the next."""

    async def erase_files(self, appointment_id: str) -> bool:
        """Deletes some of an appointment's files; whether there may be more."""

    async def erase_appointments(self, patient_id: str) -> bool:
        """Takes the patient out of some appointments; whether there may be more."""


class Erasing:
    """Works through the erasures that are due; many instances may, each erasure is one's at a time.

    Args:
        due: set when there is something to do at once.
        seen: told what is not done, at each look.
    """

    def __init__(
        self,
        store: ClosingStore,
        neighbours: Neighbours,
        clock: Callable[[], datetime],
        *,
        due: asyncio.Event,
        seen: Callable[[Backlog], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._neighbours = neighbours
        self._clock = clock
        self._due = due
        self._seen = seen

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            self._due.clear()
            seconds = LOOK_SECONDS
            try:
                seconds = self._until(await self.work())
            except StoreUnavailableError as error:
                log.warning("could not look for erasures", reason=str(error))
            try:
                # Not all instances at one moment.
                async with asyncio.timeout(seconds + random.uniform(0.1, 1.0)):
                    await self._due.wait()
            except TimeoutError:
                continue

    async def work(self) -> Backlog:
        """Does what is due now, and tells what is left. Raises StoreUnavailableError."""
        while taken := await _whole(self._store.take_erasure(self._clock(), self._clock() + LEASE)):
            await self._attempt(taken)
        backlog = await _whole(self._store.erasures_pending())
        self._seen(backlog)
        return backlog

    def _until(self, backlog: Backlog) -> float:
        if backlog.next_try_at is None:
            return LOOK_SECONDS
        seconds = (backlog.next_try_at - self._clock()).total_seconds()
        return min(max(seconds, 0.0), LOOK_SECONDS)

    async def _attempt(self, taken: Erasure) -> None:
        """One attempt, and what follows from how it ended. Raises StoreUnavailableError."""
        lease = _Lease(self._store, self._clock, taken)
        began = self._clock()
        try:
            async with asyncio.timeout(PASS_SECONDS):
                await self._erase(lease)
        except _LostError:
            log.warning("an erasure took longer than its lease")
        except (NeighbourUnavailableError, TimeoutError) as error:
            failed = lease.erasure
            await _whole(
                self._store.put_off_erasure(
                    failed, self._clock() + failed.pause, failed.attempts + 1
                )
            )
            log.warning("an erasure is not done yet", reason=str(error), attempts=failed.attempts)
        else:
            await self._succeed(lease.erasure, began)

    async def _succeed(self, erasure: Erasure, began: datetime) -> None:
        if began >= erasure.settles_at:
            await _whole(self._store.finish_erasure(erasure, self._clock()))
            log.info("an erasure is done")
        else:
            await _whole(self._store.put_off_erasure(erasure, erasure.settles_at, 0))
            log.info("an erasure is done for now", again_at=erasure.settles_at.isoformat())

    async def _erase(self, lease: "_Lease") -> None:
        """All of it. Files come first: afterwards nobody could tell whose they are."""
        patient_id, cursor = lease.erasure.user_id, None
        while True:
            ids, cursor = await self._neighbours.appointment_ids(patient_id, cursor)
            for appointment_id in ids:
                await lease.keep()
                while await self._neighbours.erase_files(appointment_id):
                    await lease.keep()
            if cursor is None:
                break
        while await self._neighbours.erase_appointments(patient_id):
            await lease.keep()


async def _whole(statement: Coroutine[Any, Any, T]) -> T:
    """What the database answers, also for one that is cancelled meanwhile: before it is told so.

    Given up in its middle, a statement would cost its connection.
    """
    asked = asyncio.ensure_future(statement)
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        await asyncio.wait([asked])
        raise


class _LostError(Exception):
    """The lease has lapsed, and somebody else works on the erasure."""


class _Lease:
    """An erasure while it is this instance's."""

    def __init__(
        self, store: ClosingStore, clock: Callable[[], datetime], erasure: Erasure
    ) -> None:
        self._store = store
        self._clock = clock
        self.erasure = erasure

    async def keep(self) -> None:
        """Renews the lease when half of it is over. Raises _LostError, StoreUnavailableError."""
        now = self._clock()
        if now < self.erasure.next_try_at - LEASE / 2:
            return
        renewed = await _whole(
            self._store.put_off_erasure(self.erasure, now + LEASE, self.erasure.attempts)
        )
        if renewed is None:
            raise _LostError
        self.erasure = renewed
