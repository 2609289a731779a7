"""Looks again at one calendar day, tally or place in a queue: what is wrong with it as it is now.

No look is a snapshot of all that it reads, nor is the index that tells which appointments a doctor
has quite of this moment. So what one look finds is a suspicion; what several find, with pauses
between them, is a breach (`service.auditing.confirmed`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.buckets import date_of
from appointments_service.domain.invariants import (
    ANSWER,
    CALENDAR,
    TALLY,
    Breach,
    Calendar,
    Claim,
    Place,
    Spot,
    calendar_breaches,
    claims_on,
    offer_claims_on,
    recount,
    tally_breaches,
)
from appointments_service.domain.tallies import TallyKey
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_items import (
    calendar_key,
    place_key,
    read,
    sums_of,
    tally_item_key,
    waiting_of,
)
from appointments_service.store_dynamodb.audit_table import Key, Table, key_of
from appointments_service.store_dynamodb.items import DayState, Item, appointment_of, state_of
from appointments_service.store_dynamodb.waitlist import PREFIX, entry_key_of, entry_of

# What may claim a part of a day starts at most a slot (240 minutes) and a buffer (60) before it,
# and at most a buffer after it.
BEFORE: Final = timedelta(minutes=300)
AFTER: Final = timedelta(minutes=60)

# So often a look begins anew because what it is about has changed meanwhile.
_TRIES: Final = 5


class Looks:
    """Looks at a table, one spot at a time.

    Args:
        clinic: the zone whose dates the tallies are kept by.
    """

    def __init__(self, table: Table, clinic: ZoneInfo) -> None:
        self._table = table
        self._clinic = clinic

    async def at(self, spot: Spot) -> list[Breach]:
        """What is wrong there. What can't be read elsewhere, its own look reports.

        Raises StoreUnavailableError.
        """
        if isinstance(spot, Place):
            return await _place_breaches(self._table, spot)
        key = calendar_key(spot) if isinstance(spot, Calendar) else tally_item_key(spot)
        before = await self._item(key)
        for _ in range(_TRIES):
            if isinstance(spot, Calendar):
                breaches = await self._calendar(spot, before)
            else:
                breaches = await self._tally(spot, before)
            if not breaches:
                break
            after = await self._item(key)
            if after == before:
                break
            before = after
        return breaches

    async def _item(self, key: Key) -> Item | None:
        return (await self._table.get([key])).get(key)

    async def _calendar(self, calendar: Calendar, day: Item | None) -> list[Breach]:
        state = read(CALENDAR, day, state_of) if day is not None else DayState(0, 0)
        if isinstance(state, Breach):
            return [state]
        return calendar_breaches(calendar, state, await self.claims(calendar))

    async def claims(self, calendar: Calendar) -> list[Claim]:
        """What is claimed of a calendar day; of a doctor's, as far as the index knows by now."""
        entries: list[Item] = []
        if calendar.kind == "patient":
            found = await self._table.of_patient(calendar.owner)
        else:
            entries = await self._table.waiting_for(calendar.owner)
            midnight = datetime.combine(date_of(calendar.day), time(), UTC)
            found = await self._table.of_doctor(
                calendar.owner, midnight - BEFORE, midnight + timedelta(days=1) + AFTER
            )
        claims = [
            claim
            for appointment in _readable(found)
            for where, claim in claims_on(appointment)
            if where == calendar
        ]
        for item in entries:
            entry = read(CALENDAR, item, entry_of)
            if not isinstance(entry, Breach):
                claims += [claim for where, claim in offer_claims_on(entry) if where == calendar]
        return claims

    async def _tally(self, key: TallyKey, item: Item | None) -> list[Breach]:
        stored = read(TALLY, item, sums_of) if item is not None else {}
        if isinstance(stored, Breach):
            return [stored]
        begin = datetime.combine(key.day, time(), self._clinic)
        end = datetime.combine(key.day + timedelta(days=1), time(), self._clinic)
        found = await self._table.of_doctor(key.doctor_id, begin, end)
        counted = recount(_readable(found), self._clinic).get(key, Counter())
        return tally_breaches(key, stored, counted)


def _readable(found: Iterable[Item]) -> Iterator[Appointment]:
    for item in found:
        appointment = read(ANSWER, item, appointment_of)
        if not isinstance(appointment, Breach):
            yield appointment


async def _place_breaches(table: Table, place: Place) -> list[Breach]:
    """What is wrong with a place as it is now. What can't be read, the scan reports."""
    if not place.sort:
        return await _count_breaches(table, place)
    key_there = place_key(place)
    key = key_of(entry_key_of(items.key(*key_there)))
    found = await table.get([key, key_there])
    try:
        entry = entry_of(found[key]) if key in found else None
    except (KeyError, ValueError, TypeError):
        return []
    name = key[0].removeprefix(items.patient_partition("")) + key[1].removeprefix(PREFIX)
    is_live = entry is not None and entry.status.is_live
    if is_live == (key_there in found):
        return []
    if entry is not None and is_live:
        what = f"it is {entry.status}, and has no place in the queue of doctor {place.doctor_id}"
        return [Breach(CALENDAR, f"waiting entry {name}", what)]
    state = f"is {entry.status}" if entry is not None else "isn't there"
    return [Breach(CALENDAR, _queue(place), f"{name} has a place in it, and {state}")]


async def _count_breaches(table: Table, count: Place) -> list[Breach]:
    key = place_key(count)
    item = (await table.get([key])).get(key)
    counted = waiting_of(item) if item is not None else 0
    there: Collection[Item] = await table.queue(count.doctor_id)
    if counted == len(there):
        return []
    return [Breach(CALENDAR, _queue(count), f"{counted} are said to wait, {len(there)} do")]


def _queue(place: Place) -> str:
    return f"queue of doctor {place.doctor_id}"
