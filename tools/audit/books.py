"""Sums up a table while it is scanned, and names what doesn't balance."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable
from typing import TypeVar
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.invariants import (
    ANSWER,
    CALENDAR,
    TALLY,
    Breach,
    Calendar,
    Ledger,
    Place,
    appointment_breaches,
    claims_on,
    entry_breaches,
    offer_claims_on,
)
from appointments_service.domain.tallies import TallyKey, contribution
from appointments_service.domain.waitlist import Entry
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_items import (
    Kind,
    calendar_of,
    kind_of,
    read,
    sums_of,
    tally_key_of,
    waiting_of,
)
from appointments_service.store_dynamodb.audit_table import key_of
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.waitlist import entry_of
from tools.answers import Answered

T = TypeVar("T")


class Share:
    """One of so many equal shares of all doctors and patients, by their ids."""

    def __init__(self, number: int, of: int) -> None:
        self.number = number
        self._of = of

    def __contains__(self, owner: str) -> bool:
        return zlib.crc32(owner.encode()) % self._of == self.number


class Books:
    """What a scan has found of one share of doctors and patients.

    Kept are six numbers a calendar day, the sums a tally doesn't agree with, and a number for each
    who waits; no appointments: that is what bounds memory. What an item alone can tell is told
    once, in the share of its owner.

    Attributes:
        seen: how many items of each kind were looked at.
        breaches: what single items were found wrong for.
        answers: stored answers that are yet to be compared with their appointments; whoever does
            so empties it.
    """

    def __init__(self, share: Share, clinic: ZoneInfo) -> None:
        self._share = share
        self._clinic = clinic
        self._ledgers: dict[Calendar, Ledger] = {}
        self._differences: dict[TallyKey, Counter[str]] = {}
        self._places: Counter[Place] = Counter()
        self.seen: Counter[str] = Counter()
        self.breaches: list[Breach] = []
        self.answers: list[Answered] = []

    def take(self, item: Item) -> None:
        """Count an item in."""
        kind, (partition, sort) = kind_of(item), key_of(item)
        if kind == "appointment":
            self._read(ANSWER, item, items.appointment_of, self._appointment)
        elif kind == "entry":
            self._read(CALENDAR, item, entry_of, self._entry)
        elif (sort if kind == "count" else partition.rpartition("#")[2]) in self._share:
            self._of_share(kind, item)

    def _of_share(self, kind: Kind, item: Item) -> None:
        partition, sort = key_of(item)
        if kind == "day":
            self._read(CALENDAR, item, lambda item: (calendar_of(item), item), self._day)
        elif kind == "tally":
            self._read(TALLY, item, lambda item: (tally_key_of(item), sums_of(item)), self._tally)
        elif kind == "count":
            self._read(CALENDAR, item, lambda item: (sort, waiting_of(item)), self._count)
        elif kind == "answer":
            self._read(ANSWER, item, answers_of, self._answers)
        elif kind == "place":
            self._place(Place(partition.rpartition("#")[2], sort))
        else:
            self.seen["others"] += 1

    def unbalanced(self) -> tuple[list[Calendar], list[TallyKey], list[Place]]:
        """What doesn't add up. A scan is no snapshot: it must be looked at again."""
        calendars = [key for key, ledger in self._ledgers.items() if not ledger.balances]
        tallies = [key for key, sums in self._differences.items() if any(sums.values())]
        return calendars, tallies, [place for place, count in self._places.items() if count]

    def _read(
        self, invariant: int, item: Item, parse: Callable[[Item], T], take: Callable[[T], None]
    ) -> None:
        found = read(invariant, item, parse)
        if isinstance(found, Breach):
            self.breaches.append(found)
        else:
            take(found)

    def _appointment(self, appointment: Appointment) -> None:
        if appointment.patient_id in self._share:
            self.seen["appointments"] += 1
            self.seen[f"appointments {appointment.status}"] += 1
            self.breaches += appointment_breaches(appointment)
        for calendar, claim in claims_on(appointment):
            if calendar.owner in self._share:
                self._ledgers.setdefault(calendar, Ledger()).claim(claim)
        if appointment.doctor_id in self._share:
            key, sums = contribution(appointment, self._clinic)
            self._differences.setdefault(key, Counter()).update(sums)

    def _entry(self, entry: Entry) -> None:
        if entry.patient_id in self._share:
            self.seen["waiting entries"] += 1
            self.seen[f"waiting entries {entry.status}"] += 1
            self.breaches += entry_breaches(entry)
        for calendar, claim in offer_claims_on(entry):
            if calendar.owner in self._share:
                self._ledgers.setdefault(calendar, Ledger()).claim(claim)
        if entry.status.is_live and entry.doctor_id in self._share:
            self._places.update((Place.of_entry(entry), Place(entry.doctor_id, "")))

    def _place(self, place: Place) -> None:
        self.seen["places in queues"] += 1
        self._places[place] -= 1

    def _count(self, counted: tuple[str, int]) -> None:
        doctor_id, waiting = counted
        self.seen["queues"] += 1
        self._places[Place(doctor_id, "")] -= waiting

    def _day(self, day: tuple[Calendar, Item]) -> None:
        calendar, item = day
        self.seen["calendar days"] += 1
        self._ledgers.setdefault(calendar, Ledger()).state(items.state_of(item))

    def _tally(self, tally: tuple[TallyKey, dict[str, int]]) -> None:
        key, sums = tally
        self.seen["tallies"] += 1
        self._differences.setdefault(key, Counter()).subtract(sums)

    def _answers(self, answers: list[Answered]) -> None:
        self.seen["stored answers"] += 1
        self.answers += answers


def answers_of(item: Item) -> list[Answered]:
    """The appointments that a stored answer shows: one, or those of a series; none where it shows
    an entry of the waiting list.

    Raises KeyError or ValueError where it shows none of these.
    """
    stored = items.answer_of(item)
    body = json.loads(stored.body)
    if "offer" in body:
        return []
    source = f"a stored answer {stored.status} tells of it"
    return [Answered.of(source, shown) for shown in body.get("items", [body])]
