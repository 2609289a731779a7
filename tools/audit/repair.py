"""./dev audit --repair: frees buckets that nobody holds, and sets tallies to their recount.

It never writes an appointment or an offer, and works beside a system that books. Why that is safe:

- **A bucket** that is to be freed is fenced first: it is put into `over`, too, so that whatever the
  calendar says of it, nobody can take it, neither regularly nor by an override. From then on those
  who hold it can only become fewer, or an offer becomes the appointment of who accepts it. So two
  scans after each other see whoever holds it: an offer the first at the latest, or else the
  appointment the second. Only what neither has seen is freed; the fence goes either way, and one
  that a killed repair left is a bucket of nobody, which the next one frees.
- **What is in `over`** has no other fence. It is freed if both scans find the same appointments
  and offers around it, in the same versions: then it was nobody's when it was read between them,
  and nobody can take what is taken.
- **A tally** and the appointments that it counts change in one transaction, so the difference
  between them stays what it is whatever is booked. It is known exactly if two scans, before and
  after the tally is read, find the same appointments in the same versions.
- Each write holds only if the item still is as it was read, and the lease of the one repair that
  may be under way is still ours: two of them could free what the other has freed, and somebody has
  booked since.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from appointments_service.domain.invariants import (
    CALENDAR,
    TALLY,
    Breach,
    Calendar,
    Claim,
    Ledger,
    hours_of,
    tally_breaches,
)
from appointments_service.domain.tallies import TallyKey
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_items import (
    calendar_key,
    read,
    sums_of,
    tally_item_key,
)
from appointments_service.store_dynamodb.audit_looks import Looks
from appointments_service.store_dynamodb.audit_table import Key, Table
from appointments_service.store_dynamodb.calls import REFUSED, Patience, unexpected
from appointments_service.store_dynamodb.items import DayState, Item
from appointments_service.store_dynamodb.leases import Leases, lease_check
from servicekit.aws import classify_codes
from tools.audit.audit import Report
from tools.audit.held import Held

_LEASE: Final = "repair"
_LEASE_TIME: Final = timedelta(hours=1)
_TRIES: Final = 10
_NOTHING: Final = DayState(0, 0)


class RepairBusyError(Exception):
    """Another repair is under way."""


class Repair(NamedTuple):
    """What is done about one spot, or why nothing is."""

    where: str
    what: str
    is_done: bool


@dataclass
class _Watched:
    """What of a day nobody can have taken unseen.

    Attributes:
        fence: what was put into `over` before the scans, since it is in `busy` and looked like
            nobody's.
        still: what was taken between the scans, if nothing around it changed from one to the other.
    """

    fence: int = 0
    still: DayState = _NOTHING


@dataclass
class _Work:
    calendars: dict[Calendar, _Watched]
    tallies: dict[TallyKey, Item | None]
    repairs: list[Repair] = field(default_factory=list)


class Repairing(Leases):
    """Repairs what an audit has found.

    Args:
        clinic: the zone whose dates the tallies are kept by.
        writes: or else it only tells what it would write.
        clock: the moment, for the lease of which there is one.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        clinic: ZoneInfo,
        *,
        writes: bool,
        segments: int = 1,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(client, table)
        self._reader = Table(client, table)
        self._looks = Looks(self._reader, clinic)
        self._clinic = clinic
        self._writes = writes
        self._segments = segments
        self._clock = clock
        self._me = str(uuid.uuid4())

    async def run(self, report: Report) -> list[Repair]:
        """Repairs what can be, spot by spot.

        Raises:
            RepairBusyError: another one is under way.
            StoreUnavailableError: the store is away. What was done till then is whole.
        """
        work = _Work(
            {spot: _Watched() for spot in report.spots if isinstance(spot, Calendar)},
            {spot: None for spot in report.spots if isinstance(spot, TallyKey)},
        )
        if not work.calendars and not work.tallies:
            return []
        if not self._writes:
            return await self._all(work)
        now = self._clock()
        if not await self.take_lease(_LEASE, self._me, now, now + _LEASE_TIME):
            raise RepairBusyError("another repair is under way, or was killed within the hour")
        try:
            return await self._all(work)
        finally:
            await self.leave_lease(_LEASE, self._me, self._clock())

    async def _all(self, work: _Work) -> list[Repair]:
        for calendar in list(work.calendars):
            watched = await self._watch(calendar)
            if watched is None:
                del work.calendars[calendar]
            else:
                work.calendars[calendar] = watched
        if not work.calendars and not work.tallies:
            return []
        first = Held(work.calendars, work.tallies, self._clinic)
        await first.scan(self._reader, self._segments)
        keys = {tally_item_key(key): key for key in work.tallies}
        for where, found in (await self._reader.get(list(keys))).items():
            work.tallies[keys[where]] = found
        for calendar, watched in work.calendars.items():
            watched.still = await self._state(calendar) or _NOTHING
        second = Held(work.calendars, work.tallies, self._clinic)
        await second.scan(self._reader, self._segments)
        for calendar, watched in work.calendars.items():
            is_whole = first.is_whole(calendar.owner) and second.is_whole(calendar.owner)
            claims = first.claims[calendar] | second.claims[calendar] if is_whole else None
            if first.versions[calendar] != second.versions[calendar]:
                watched.still = _NOTHING
            work.repairs += await self._free(calendar, watched, claims)
        for key, item in work.tallies.items():
            work.repairs += await self._recount(key, item, first, second)
        return work.repairs

    async def _watch(self, calendar: Calendar) -> _Watched | None:
        """Fences what looks like nobody's; None where there is nothing of that kind."""
        for _ in range(_TRIES):
            state = await self._state(calendar)
            if state is None:
                return None
            ledger = _ledger(state, set(await self._looks.claims(calendar)))
            busy = _busy_of_nobody(ledger)
            if not busy and not state.over & ~ledger.override:
                return None
            fence = busy & ~state.over
            if not self._writes or not fence or await self._change(calendar, state, add=fence):
                return _Watched(fence)
        return None

    async def _free(
        self, calendar: Calendar, watched: _Watched, claims: set[Claim] | None
    ) -> list[Repair]:
        """Frees what nobody holds; None for claims that can't all be read takes the fence away."""
        for _ in range(_TRIES):
            state = await self._state(calendar)
            if state is None:
                return []
            if claims is None:
                busy, over = 0, state.over & watched.fence
            else:
                ledger = _ledger(state, claims)
                busy = _busy_of_nobody(ledger) & (watched.fence | watched.still.busy)
                over = state.over & (watched.fence | watched.still.over) & ~ledger.override
            writes = self._writes and (busy or over)
            if not writes or await self._change(calendar, state, free=busy, free_over=over):
                break
        else:
            return [Repair(str(calendar), "it changes all the time: try again", is_done=False)]
        if claims is None:
            what = "not repaired, since something that may hold its time can't be read"
            return [Repair(str(calendar), what, is_done=False)]
        freed = busy | over & ~watched.fence
        return [Repair(str(calendar), f"frees {hours_of(freed)}", self._writes)] if freed else []

    async def _recount(
        self, key: TallyKey, item: Item | None, first: Held, second: Held
    ) -> list[Repair]:
        where = f"tally of doctor {key.doctor_id}, {key.day}"
        stored = read(TALLY, item, sums_of) if item is not None else {}
        counted = second.sums[key]
        if isinstance(stored, Breach):
            return [Repair(where, "not repaired, since it can't be read", is_done=False)]
        if not first.is_whole(key.doctor_id) or not second.is_whole(key.doctor_id):
            what = "not repaired, since an appointment that it counts can't be read"
            return [Repair(where, what, is_done=False)]
        wrong = tally_breaches(key, stored, counted)
        if not wrong:
            return []
        if first.versions[key] != second.versions[key] or (
            self._writes and not await self._set(key, stored, counted)
        ):
            return [Repair(where, "not repaired, since it changed: try again", is_done=False)]
        return [Repair(where, f"sets to the recount: {wrong[0].what}", self._writes)]

    async def _state(self, calendar: Calendar) -> DayState | None:
        """A day as it is now; None if it isn't there, or can't be read."""
        key: Key = calendar_key(calendar)
        item = (await self._reader.get([key])).get(key)
        state = read(CALENDAR, item, items.state_of) if item is not None else None
        return None if isinstance(state, Breach) else state

    async def _change(
        self, calendar: Calendar, seen: DayState, *, add: int = 0, free: int = 0, free_over: int = 0
    ) -> bool:
        """Changes a day that still is as it was seen; False if it isn't."""
        values: Item = {}
        conditions, clauses, deleted = [], [], []
        for name, value, mask in (("busy", ":busy", seen.busy), ("#over", ":over", seen.over)):
            conditions.append(f"{name} = {value}" if mask else f"attribute_not_exists({name})")
            if mask:
                values[value] = items.number_set(mask)
        if add:
            clauses.append("ADD #over :add")
            values[":add"] = items.number_set(add)
        for name, value, mask in (("busy", ":free", free), ("#over", ":free_over", free_over)):
            if mask:
                deleted.append(f"{name} {value}")
                values[value] = items.number_set(mask)
        if deleted:
            clauses.append(f"DELETE {', '.join(deleted)}")
        return await self._update(
            calendar_key(calendar), clauses, conditions, {"#over": "over"}, values
        )

    async def _set(self, key: TallyKey, seen: dict[str, int], counted: Counter[str]) -> bool:
        """Sets a tally that still is as it was seen; False if it isn't."""
        names: dict[str, str] = {}
        values: Item = {":day": {"S": key.day.isoformat()}}
        conditions, sets = [], ["tally_date = :day"]
        for n, name in enumerate(sorted({*seen, *counted})):
            names[f"#n{n}"] = name
            values[f":new{n}"] = {"N": str(counted[name])}
            sets.append(f"#n{n} = :new{n}")
            if name in seen:
                values[f":seen{n}"] = {"N": str(seen[name])}
                conditions.append(f"#n{n} = :seen{n}")
            else:
                conditions.append(f"attribute_not_exists(#n{n})")
        clauses = [f"SET {', '.join(sets)}"]
        return await self._update(tally_item_key(key), clauses, conditions, names, values)

    async def _update(
        self, key: Key, clauses: list[str], conditions: list[str], names: Item, values: Item
    ) -> bool:
        update: Item = {
            "TableName": self._table,
            "Key": items.key(*key),
            "UpdateExpression": " ".join(clauses),
            "ConditionExpression": " AND ".join(conditions),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        check = lease_check(self._table, _LEASE, self._me)
        patience = Patience()
        while codes := await self._transact([{"Update": update}, check], patience):
            if codes[1] == REFUSED:
                raise RepairBusyError("another repair has begun meanwhile")
            if codes[0] == REFUSED:
                return False
            await patience.pause(classify_codes(codes), unexpected(codes))
        return True


def _ledger(state: DayState, claims: set[Claim]) -> Ledger:
    ledger = Ledger()
    ledger.state(state)
    for claim in claims:
        ledger.claim(claim)
    return ledger


def _busy_of_nobody(ledger: Ledger) -> int:
    """What is taken regularly, and claimed in no way.

    Under an override, which counts on `over`, nothing is freed: it couldn't be fenced. It is once
    the override has ended.
    """
    return ledger.busy & ~ledger.regular & ~ledger.override
