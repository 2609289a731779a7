"""What the service's own audit reads."""

from collections.abc import Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from appointments_service.domain.invariants import (
    ANSWER,
    CALENDAR,
    TALLY,
    Breach,
    Calendar,
    Claim,
    Place,
    Spot,
    appointment_breaches,
    claims_on,
    entry_breaches,
    offer_claims_on,
)
from appointments_service.domain.tallies import TallyKey, contribution
from appointments_service.domain.waitlist import Entry
from appointments_service.store_auditing import AuditPage
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_items import (
    calendar_key,
    calendar_of,
    kind_of,
    read,
    tally_item_key,
    tally_key_of,
)
from appointments_service.store_dynamodb.audit_looks import Looks
from appointments_service.store_dynamodb.audit_table import Key, Table, key_of
from appointments_service.store_dynamodb.leases import Leases
from appointments_service.store_dynamodb.waitlist import entry_of


class _Found:
    """What a page of items shows.

    Attributes:
        claimed: what is claimed of calendars that have yet to be read.
        counted: tallies that have to be there.
    """

    def __init__(self, clinic: ZoneInfo) -> None:
        self._clinic = clinic
        self.breaches: list[Breach] = []
        self.spots: dict[Spot, None] = {}
        self.claimed: dict[Calendar, int] = {}
        self.counted: set[TallyKey] = set()

    def take(self, item: items.Item) -> None:
        """Sorts an item out. Stored answers are short-lived; `./dev audit` compares them."""
        kind = kind_of(item)
        if kind == "appointment":
            appointment = read(ANSWER, item, items.appointment_of)
            if isinstance(appointment, Breach):
                self.breaches.append(appointment)
                return
            self.breaches += appointment_breaches(appointment)
            self._claim(claims_on(appointment))
            self.counted.add(contribution(appointment, self._clinic)[0])
        elif kind == "entry":
            entry = read(CALENDAR, item, entry_of)
            if isinstance(entry, Breach):
                self.breaches.append(entry)
            else:
                self._entry(entry)
        elif kind == "day":
            self._spot(read(CALENDAR, item, calendar_of))
        elif kind == "tally":
            self._spot(read(TALLY, item, tally_key_of))
        elif kind in ("place", "count"):
            partition, sort = key_of(item)
            owner = partition.rpartition("#")[2]
            self._spot(Place(owner, sort) if kind == "place" else Place(sort, ""))

    def _entry(self, entry: Entry) -> None:
        self.breaches += entry_breaches(entry)
        self._claim(offer_claims_on(entry))
        if entry.status.is_live:
            self._spot(Place.of_entry(entry))
            self._spot(Place(entry.doctor_id, ""))

    def _spot(self, found: Spot | Breach) -> None:
        if isinstance(found, Breach):
            self.breaches.append(found)
        else:
            self.spots[found] = None

    def _claim(self, claims: Iterable[tuple[Calendar, Claim]]) -> None:
        for calendar, claim in claims:
            self.claimed[calendar] = self.claimed.get(calendar, 0) | claim.mask


class Audits(Leases):
    """The part of `AppointmentStore` that an audit walks through."""

    async def read_audit_page(
        self, position: Any | None, limit: int, clinic: ZoneInfo
    ) -> AuditPage:
        """See AuditStore. Calendar days and tallies come by themselves, each to be looked at.

        So of appointments and offers it is enough to see that the days and tallies they count on
        hold something of them at all: two reads a page, and not two looks each.
        """
        start = {"ExclusiveStartKey": position} if position is not None else {}
        answer = await self._call("scan", ConsistentRead=True, Limit=limit, **start)
        found = _Found(clinic)
        for item in answer["Items"]:
            found.take(item)
        spots = [*found.spots, *await self._uncovered(found)]
        return AuditPage(
            tuple(found.breaches), tuple(dict.fromkeys(spots)), answer.get("LastEvaluatedKey")
        )

    async def look(self, spot: Spot, clinic: ZoneInfo) -> list[Breach]:
        """See AuditStore."""
        return await Looks(Table(self._client, self._table), clinic).at(spot)

    async def _uncovered(self, found: _Found) -> list[Spot]:
        """Days that lack a part of what is claimed of them, and tallies that aren't there."""
        wanted = {calendar_key(calendar) for calendar in found.claimed}
        wanted |= {tally_item_key(key) for key in found.counted}
        if not wanted:
            return []
        rows = await self._get_many([items.key(*key) for key in sorted(wanted)])
        there = {key_of(row): row for row in rows}
        return [*_lacking(found, there), *_lost(found, there)]


def _lacking(found: _Found, there: dict[Key, items.Item]) -> Iterator[Calendar]:
    for calendar, mask in found.claimed.items():
        row = there.get(calendar_key(calendar))
        state = read(CALENDAR, row, items.state_of) if row is not None else items.DayState(0, 0)
        # One that can't be read is met by itself.
        if not isinstance(state, Breach) and mask & ~state.taken:
            yield calendar


def _lost(found: _Found, there: dict[Key, items.Item]) -> Iterator[TallyKey]:
    return (key for key in found.counted if tally_item_key(key) not in there)
