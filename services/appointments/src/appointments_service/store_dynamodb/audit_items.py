"""Items as an audit reads them: whose they are, what they hold, or that they can't be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Literal, TypeVar

from appointments_service.domain.invariants import Breach, Calendar, Place
from appointments_service.domain.tallies import TallyKey
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_table import Key, key_of
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.waitlist import DOCTORS, PREFIX, queue_partition

T = TypeVar("T")

Kind = Literal["appointment", "day", "tally", "entry", "place", "count", "answer", "other"]
"""What an item is to an audit; `entry`, `place` and `count` are of the waiting list."""

_KINDS: dict[tuple[str, str], Kind] = {
    ("doctor", "day"): "day",
    ("patient", "day"): "day",
    ("doctor", "tally"): "tally",
    ("patient", "waitlist"): "entry",
    ("caller", "key"): "answer",
}

_NO_SUMS = {"user_id", "appointment_id", "tally_date"}


def kind_of(item: Item) -> Kind:
    """What an item is, by its keys."""
    if "doctor_id" in item:
        return "appointment"
    partition, sort = key_of(item)
    if partition == DOCTORS:
        return "count"
    owner = partition.rpartition("#")[0]
    if owner == PREFIX.rstrip("#"):
        return "place"
    return _KINDS.get((owner, sort.partition("#")[0]), "other") if "#" in sort else "other"


def read(invariant: int, item: Item, parse: Callable[[Item], T]) -> T | Breach:
    """What `parse` makes of an item, or the breach that it is for not being readable."""
    try:
        return parse(item)
    except (KeyError, ValueError, TypeError) as error:
        where = "item " + " / ".join(key_of(item))
        return Breach(invariant, where, f"it can't be read: {type(error).__name__}: {error}")


def calendar_of(item: Item) -> Calendar:
    """Whose day a calendar item is. Raises ValueError for a date that is none."""
    kind, _, owner = item["user_id"]["S"].partition("#")
    day = items.day_of(item)
    items.state_of(item)
    return Calendar("doctor" if kind == "doctor" else "patient", owner, day)


def partition_of(calendar: Calendar) -> str:
    """Where a calendar lies."""
    if calendar.kind == "doctor":
        return items.doctor_partition(calendar.owner)
    return items.patient_partition(calendar.owner)


def tally_item_key(key: TallyKey) -> tuple[str, str]:
    """Where a tally lies."""
    return items.doctor_partition(key.doctor_id), f"tally#{key.day.isoformat()}"


def tally_key_of(item: Item) -> TallyKey:
    """Whose tally an item is. Raises ValueError for a date that is none."""
    owner = item["user_id"]["S"].removeprefix("doctor#")
    return TallyKey(owner, date.fromisoformat(item["appointment_id"]["S"].removeprefix("tally#")))


def sums_of(item: Item) -> dict[str, int]:
    """The sums of a tally."""
    return {name: int(value["N"]) for name, value in item.items() if name not in _NO_SUMS}


def calendar_key(calendar: Calendar) -> Key:
    """Where a calendar day lies."""
    return partition_of(calendar), items.day_key(calendar.day)


def place_key(place: Place) -> Key:
    """Where a place in a queue lies, or a doctor's count."""
    if not place.sort:
        return DOCTORS, place.doctor_id
    return queue_partition(place.doctor_id), place.sort


def waiting_of(item: Item) -> int:
    """How many wait for a doctor, as the doctor's count says."""
    return int(item["waiting"]["N"])
