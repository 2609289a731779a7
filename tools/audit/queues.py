"""Queues of the waiting list: who isn't in one is never offered anything, and keeps what was."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from appointments_service.domain.waitlist import Entry
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.waitlist import (
    DOCTORS,
    PREFIX,
    entry_key_of,
    entry_of,
    queue_partition,
)
from tools.audit.invariants import CALENDAR, Breach
from tools.audit.table import Key, Table, key_of


class Place(NamedTuple):
    """One place in a doctor's queue, by its sort key; an empty one is the doctor's count."""

    doctor_id: str
    sort: str

    @classmethod
    def of_entry(cls, entry: Entry) -> Place:
        """Where a live entry has to be."""
        return cls(entry.doctor_id, f"{entry.key}#{entry.patient_id}")

    @property
    def key(self) -> Key:
        """Where it lies."""
        if not self.sort:
            return DOCTORS, self.doctor_id
        return queue_partition(self.doctor_id), self.sort


def waiting_of(item: Item) -> int:
    """How many wait for a doctor, as the doctor's count says."""
    return int(item["waiting"]["N"])


async def place_breaches(table: Table, place: Place) -> list[Breach]:
    """What is wrong with a place as it is now. What can't be read, the scan reports."""
    if not place.sort:
        return await _count_breaches(table, place)
    key = key_of(entry_key_of(items.key(*place.key)))
    found = await table.get([key, place.key])
    try:
        entry = entry_of(found[key]) if key in found else None
    except (KeyError, ValueError, TypeError):
        return []
    name = key[0].removeprefix(items.patient_partition("")) + key[1].removeprefix(PREFIX)
    is_live = entry is not None and entry.status.is_live
    if is_live == (place.key in found):
        return []
    if entry is not None and is_live:
        what = f"it is {entry.status}, and has no place in the queue of doctor {place.doctor_id}"
        return [Breach(CALENDAR, f"waiting entry {name}", what)]
    state = f"is {entry.status}" if entry is not None else "isn't there"
    return [Breach(CALENDAR, _queue(place), f"{name} has a place in it, and {state}")]


async def _count_breaches(table: Table, count: Place) -> list[Breach]:
    item = (await table.get([count.key])).get(count.key)
    counted = waiting_of(item) if item is not None else 0
    there: Collection[Item] = await table.queue(count.doctor_id)
    if counted == len(there):
        return []
    return [Breach(CALENDAR, _queue(count), f"{counted} are said to wait, {len(there)} do")]


def _queue(place: Place) -> str:
    return f"queue of doctor {place.doctor_id}"
