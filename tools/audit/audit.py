"""The audit: one or more scans, then a second look at whatever didn't add up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import keys_of
from appointments_service.domain.invariants import ANSWER, Breach, Spot
from appointments_service.service.auditing import LOOK_AGAIN_SECONDS, confirmed
from appointments_service.store_dynamodb.audit_items import read
from appointments_service.store_dynamodb.audit_looks import Looks
from appointments_service.store_dynamodb.audit_table import BATCH_KEYS, Table
from appointments_service.store_dynamodb.items import Item, appointment_of
from tools.answers import Answered
from tools.audit.books import Books, Share
from tools.audit.told import answer_breaches

ITEMS_A_SCAN = 2_000_000
"""More items than this are audited in several scans, a share of doctors and patients each, so that
memory stays below about a gigabyte."""

_LOOKING_AT_ONCE = 16


@dataclass
class Report:
    """What an audit found.

    Attributes:
        seen: how many items of each kind there are.
        looked_again: how many calendar days, tallies and places in queues didn't add up at first
            sight, which is what a system that is at work looks like.
        spots: which of these are wrong indeed, and how; these breaches are among all.
    """

    seen: Counter[str] = field(default_factory=Counter)
    scans: int = 0
    looked_again: int = 0
    breaches: list[Breach] = field(default_factory=list)
    spots: dict[Spot, list[Breach]] = field(default_factory=dict)

    def add(self, seen: Counter[str], breaches: list[Breach]) -> None:
        """What was found elsewhere."""
        self.seen += seen
        self.breaches += breaches


class Audit:
    """Checks the invariants 1 to 4 of one table.

    Args:
        clinic: the zone whose dates the tallies are kept by.
        segments: how many parts of the table are scanned at once.
        look_again: the pauses, in seconds, before each look at what didn't add up.
    """

    def __init__(
        self,
        table: Table,
        clinic: ZoneInfo,
        *,
        segments: int = 1,
        items_a_scan: int = ITEMS_A_SCAN,
        look_again: Sequence[float] = LOOK_AGAIN_SECONDS,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._table = table
        self._clinic = clinic
        self._looks = Looks(table, clinic)
        self._segments = segments
        self._items_a_scan = items_a_scan
        self._look_again = look_again
        self._progress = progress

    async def run(self, answers: Iterable[Answered] = ()) -> Report:
        """Scan, look again, and compare with `answers` from elsewhere.

        Raises:
            StoreUnavailableError: the store is away.
        """
        report = Report(scans=1 + await self._table.size() // self._items_a_scan)
        for number in range(report.scans):
            await self._share(Share(number, report.scans), report)
        await self._journal(answers, report)
        # What can't be read may be met more than once.
        report.breaches = list(dict.fromkeys(report.breaches))
        return report

    async def look_again(self, report: Report) -> None:
        """Looks again at the spots that were wrong, and forgets what is right by now."""
        for spot, before in list(report.spots.items()):
            now = await confirmed(partial(self._looks.at, spot), self._look_again)
            report.breaches = [one for one in report.breaches if one not in before] + now
            report.spots[spot] = now

    async def _share(self, share: Share, report: Report) -> None:
        books = Books(share, self._clinic)
        done = 0

        async def take(page: list[Item]) -> None:
            nonlocal done
            for item in page:
                books.take(item)
            answers, books.answers = books.answers, []
            await self._compare(answers, report)
            done += len(page)
            self._progress(f"scan {share.number + 1} of {report.scans}: {done:,} items")

        await self._table.scan(self._segments, take)
        report.seen += books.seen
        report.breaches += books.breaches
        calendars, tallies, places = books.unbalanced()
        suspects = len(calendars) + len(tallies) + len(places)
        report.looked_again += suspects
        self._progress(f"looking again at {suspects:,} places")
        by_owner = sorted(tallies, key=lambda key: (key.doctor_id, key.day))
        spots: list[Spot] = [*sorted(calendars), *by_owner, *sorted(places)]
        room = asyncio.Semaphore(_LOOKING_AT_ONCE)

        async def confirm(spot: Spot) -> list[Breach]:
            async with room:
                return await confirmed(partial(self._looks.at, spot), self._look_again)

        for spot, breaches in zip(spots, await asyncio.gather(*map(confirm, spots)), strict=True):
            report.breaches += breaches
            if breaches:
                report.spots[spot] = breaches

    async def _journal(self, answers: Iterable[Answered], report: Report) -> None:
        remaining = iter(answers)
        while batch := list(islice(remaining, BATCH_KEYS)):
            report.seen["journal answers"] += len(batch)
            await self._compare(batch, report)

    async def _compare(self, answers: list[Answered], report: Report) -> None:
        """An answer was there before this reading, so what it tells of must be there now."""
        keys = [keys_of(answered.id) for answered in answers]
        found = await self._table.get([key for key in keys if key is not None])
        for answered, key in zip(answers, keys, strict=True):
            item = found.get(key) if key is not None else None
            appointment = read(ANSWER, item, appointment_of) if item is not None else None
            if isinstance(appointment, Breach):
                report.breaches.append(appointment)
            else:
                report.breaches += answer_breaches(answered, appointment)
