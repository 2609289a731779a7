"""The audit: one or more scans, then a second look at whatever didn't add up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import islice
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import Appointment, keys_of
from appointments_service.domain.buckets import date_of
from appointments_service.domain.tallies import TallyKey
from appointments_service.store_dynamodb.items import (
    DayState,
    Item,
    appointment_of,
    day_key,
    state_of,
)
from appointments_service.store_dynamodb.waitlist import entry_of
from tools.answers import Answered
from tools.audit.books import (
    Books,
    Share,
    partition_of,
    read,
    sums_of,
    tally_item_key,
)
from tools.audit.invariants import (
    ANSWER,
    CALENDAR,
    TALLY,
    Breach,
    Calendar,
    answer_breaches,
    calendar_breaches,
    claims_on,
    offer_claims_on,
    recount,
    tally_breaches,
)
from tools.audit.queues import place_breaches
from tools.audit.table import BATCH_KEYS, Table

ITEMS_A_SCAN = 2_000_000
"""More items than this are audited in several scans, a share of doctors and patients each, so that
memory stays below about a gigabyte."""

# A breach is one only if it is still there each time. Changes take milliseconds, and an index
# lags by less than a second.
LOOK_AGAIN_SECONDS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_LOOKING_AT_ONCE = 16

Look = Callable[[], Awaitable[list[Breach]]]

# What may claim a part of a day starts at most a slot (240 minutes) and a buffer (60) before it,
# and at most a buffer after it.
_BEFORE, _AFTER = timedelta(minutes=300), timedelta(minutes=60)


@dataclass
class Report:
    """What an audit found.

    Attributes:
        seen: how many items of each kind there are.
        looked_again: how many calendar days, tallies and places in queues didn't add up at first
            sight, which is what a system that is at work looks like.
    """

    seen: Counter[str] = field(default_factory=Counter)
    scans: int = 0
    looked_again: int = 0
    breaches: list[Breach] = field(default_factory=list)


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
        looks: list[Look] = [partial(self._calendar, key) for key in sorted(calendars)]
        looks += [
            partial(self._tally, key)
            for key in sorted(tallies, key=lambda key: (key.doctor_id, key.day))
        ]
        looks += [partial(place_breaches, self._table, place) for place in sorted(places)]
        room = asyncio.Semaphore(_LOOKING_AT_ONCE)

        async def confirm(look: Look) -> list[Breach]:
            async with room:
                return await self._persistent(look)

        for breaches in await asyncio.gather(*map(confirm, looks)):
            report.breaches += breaches

    async def _persistent(self, look: Look) -> list[Breach]:
        """What several looks, with pauses, all find wrong: the last one's breaches."""
        breaches: list[Breach] = []
        for pause in self._look_again:
            await asyncio.sleep(pause)
            breaches = await look()
            if not breaches:
                break
        return breaches

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

    async def _calendar(self, calendar: Calendar) -> list[Breach]:
        """What is wrong with a calendar day as it is now."""
        key = (partition_of(calendar), day_key(calendar.day))
        day = (await self._table.get([key])).get(key)
        state = read(CALENDAR, day, state_of) if day is not None else DayState(0, 0)
        if isinstance(state, Breach):
            return [state]
        entries: list[Item] = []
        if calendar.kind == "patient":
            found = await self._table.of_patient(calendar.owner)
        else:
            entries = await self._table.waiting_for(calendar.owner)
            midnight = datetime.combine(date_of(calendar.day), time(), UTC)
            found = await self._table.of_doctor(
                calendar.owner, midnight - _BEFORE, midnight + timedelta(days=1) + _AFTER
            )
        claims = [
            claim
            for appointment in _readable(found)
            for where, claim in claims_on(appointment)
            if where == calendar
        ]
        for item in entries:
            entry = read(CALENDAR, item, entry_of)
            if not isinstance(entry, Breach):  # or the scan reports it
                claims += [claim for where, claim in offer_claims_on(entry) if where == calendar]
        return calendar_breaches(calendar, state, claims)

    async def _tally(self, key: TallyKey) -> list[Breach]:
        """What is wrong with a tally as it is now."""
        where = tally_item_key(key)
        item = (await self._table.get([where])).get(where)
        stored = read(TALLY, item, sums_of) if item is not None else {}
        if isinstance(stored, Breach):
            return [stored]
        begin = datetime.combine(key.day, time(), self._clinic)
        end = datetime.combine(key.day + timedelta(days=1), time(), self._clinic)
        found = await self._table.of_doctor(key.doctor_id, begin, end)
        counted = recount(_readable(found), self._clinic).get(key, Counter())
        return tally_breaches(key, stored, counted)


def _readable(found: Iterable[Item]) -> Iterator[Appointment]:
    """The appointments but for those that the scan reports as unreadable."""
    for item in found:
        appointment = read(ANSWER, item, appointment_of)
        if not isinstance(appointment, Breach):
            yield appointment
