"""A slow walk through all that is stored, which counts whatever must never be.

It only reads: what is wrong is for a person to look at (`./dev audit --repair` helps).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from appointments_service.domain.invariants import Breach
from appointments_service.errors import StoreUnavailableError
from appointments_service.store_auditing import AuditStore

log = structlog.get_logger()

# A breach is one only if it is still there each time. Changes take milliseconds, and an index
# lags by less than a second.
LOOK_AGAIN_SECONDS: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)

LEASE: Final = "audit"
LEASE_SECONDS: Final = 120.0
PAGE: Final = 50
PACE_SECONDS: Final = 0.05
"""Between two looks: some 60 small reads a second at most, whatever the size of the table."""

Look = Callable[[], Awaitable[list[Breach]]]
Wait = Callable[[float], Awaitable[None]]


async def confirmed(
    look: Look, pauses: Sequence[float] = LOOK_AGAIN_SECONDS, wait: Wait = asyncio.sleep
) -> list[Breach]:
    """What each of several looks finds wrong, with pauses (seconds) before each."""
    breaches: list[Breach] | None = None
    for pause in pauses:
        await wait(pause)
        found = await look()
        breaches = [one for one in found if breaches is None or one in breaches]
        if not breaches:
            break
    return breaches or []


class LeaseLostError(Exception):
    """Another instance goes on with the round."""


class Auditing:
    """Rounds through the whole store, of one instance at a time.

    Args:
        me: what no other instance calls itself.
        every: from the end of one round to the beginning of the next.
        violated: told the invariant's number of each breach.
        finished: told of each round that came to its end.
    """

    def __init__(
        self,
        store: AuditStore,
        clock: Callable[[], datetime],
        clinic: ZoneInfo,
        me: str,
        *,
        every: timedelta,
        violated: Callable[[int], None] = lambda _: None,
        finished: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._clinic = clinic
        self._me = me
        self._every = every
        self._violated = violated
        self._finished = finished
        self._renew_at: datetime | None = None

    async def run(self, wait: Wait = asyncio.sleep) -> None:
        """Goes on until it is cancelled. A round that fails is begun anew, by whoever is next."""
        while True:
            # Not all instances at one moment, and none in the rush of its start.
            await wait(self._every.total_seconds() / 10 * random.uniform(0.5, 1.5))
            try:
                await self.round(wait)
            except StoreUnavailableError as error:
                log.warning("an audit was broken off", reason=str(error))
            except Exception:
                log.exception("an audit was broken off")

    async def round(self, wait: Wait = asyncio.sleep) -> bool:
        """One walk through everything; False if it isn't due, or another instance does it.

        Raises StoreUnavailableError.
        """
        self._renew_at = None
        try:
            await self._walk(wait)
        except LeaseLostError:
            return False
        await self._store.leave_lease(LEASE, self._me, self._clock() + self._every)
        self._finished()
        return True

    async def _walk(self, wait: Wait) -> None:
        position = None
        while True:
            await self._hold()
            page = await self._store.read_audit_page(position, PAGE, self._clinic)
            self._tell(page.breaches)
            for spot in page.spots:
                await self._hold()
                look = partial(self._store.look, spot, self._clinic)
                self._tell(await confirmed(look, wait=wait))
                await wait(PACE_SECONDS)
            position = page.position
            if position is None:
                return
            await wait(PACE_SECONDS)

    async def _hold(self) -> None:
        """Keeps the lease. Raises LeaseLostError."""
        now = self._clock()
        if self._renew_at is not None and now < self._renew_at:
            return
        lasts = timedelta(seconds=LEASE_SECONDS)
        if not await self._store.take_lease(LEASE, self._me, now, now + lasts):
            raise LeaseLostError
        self._renew_at = now + lasts / 3

    def _tell(self, breaches: Sequence[Breach]) -> None:
        for breach in breaches:
            self._violated(breach.invariant)
            log.error("an invariant is violated", **breach._asdict())
