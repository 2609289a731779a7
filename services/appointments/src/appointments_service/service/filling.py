"""Offers freed times to those who wait for them, and takes back what nobody accepted.

Nothing is recorded where a time becomes free: what is free is looked up, as a search does, so a
process that ends in the middle of anything leaves nothing behind that another wouldn't find.
Every write has its guards, so any number of instances may look at the same doctor at once.
"""

import asyncio
import random
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from appointments_service.directory import Directory
from appointments_service.domain.availability import Hours, Slot, open_slots
from appointments_service.domain.buckets import overlap
from appointments_service.domain.waitlist import (
    Entry,
    WaitStatus,
    deadline_of,
    ended,
    offered,
    offered_slot,
    put_back,
)
from appointments_service.errors import (
    SlotTakenError,
    StoreUnavailableError,
    UsersUnavailableError,
)
from appointments_service.service.hours import HoursCache
from appointments_service.store import (
    AppointmentStore,
    ExtraRefusedError,
    ScheduleChangedError,
    Write,
)
from appointments_service.store_waitlist import entry_extras

log = structlog.get_logger()

LOOK_SECONDS: Final = 15.0
"""So often every instance looks for what no other has told it."""

# A patient's calendar is looked at for so many dates at once.
_DATES_AT_ONCE: Final = 31

MADE, ACCEPTED, LAPSED, WITHDRAWN = "made", "accepted", "lapsed", "withdrawn"
RESULTS: Final = (MADE, ACCEPTED, LAPSED, WITHDRAWN)
"""What becomes of offers: each is made once, and ends as one of the others."""

Wait = Callable[[float], Awaitable[None]]


class Filling:
    """Looks after the doctors that anybody waits for.

    Args:
        longest: how long an offer stands at most.
        offers: told of what has become of an offer: one of RESULTS.
        seen: told how many entries wait, at each look at all doctors.
    """

    def __init__(
        self,
        store: AppointmentStore,
        directory: Directory,
        hours: HoursCache,
        clock: Callable[[], datetime],
        *,
        longest: timedelta,
        offers: Callable[[str], None] = lambda _: None,
        seen: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._hours = hours
        self._clock = clock
        self._longest = longest
        self._offers = offers
        self._seen = seen
        self._waited_for: set[str] = set()
        self._poked: set[str] = set()
        self._due = asyncio.Event()
        # One look at a time in one process: two would only get into each other's way.
        self._looking = asyncio.Lock()

    def poke(self, doctor_id: str, *, is_waited_for: bool = False) -> None:
        """There may be something to do for a doctor, now.

        Where nobody is known to wait, that costs nothing; if this instance is mistaken, the next
        look at all doctors finds out.
        """
        if is_waited_for:
            self._waited_for.add(doctor_id)
        if doctor_id in self._waited_for:
            self._poked.add(doctor_id)
            self._due.set()

    async def run(self, wait: Wait = asyncio.sleep) -> None:
        """Goes on until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._regularly(wait))
            group.create_task(self._when_poked())

    async def _regularly(self, wait: Wait) -> None:
        while True:
            # Not all instances at one moment.
            await wait(LOOK_SECONDS * random.uniform(0.5, 1.5))
            await _ended(self.work())

    async def _when_poked(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while self._poked:
                async with self._looking:
                    if self._poked:
                        await _ended(self._look(self._poked.pop()))

    async def work(self) -> None:
        """Looks at all doctors that anybody waits for. Raises StoreUnavailableError.

        Doctors that were poked before it began are looked at by then, too.
        """
        waited_for = await self._store.read_waited_for()
        self._waited_for = set(waited_for)
        self._seen(sum(waited_for.values()))
        for doctor_id in random.sample(sorted(waited_for), len(waited_for)):
            async with self._looking:
                self._poked.discard(doctor_id)
                await _ended(self._look(doctor_id))

    async def _look(self, doctor_id: str) -> None:
        """Ends what is over for a doctor, and offers what is free to those who wait longest.

        Raises:
            StoreUnavailableError, UsersUnavailableError: what it needs is away.
        """
        queue = await self._store.read_queue(doctor_id)
        hours = await self._hours.read(doctor_id) if queue else None
        if hours is None:
            return
        looked_at = [await self._still_waiting(entry, hours) for entry in queue]
        waiting = [entry for entry in looked_at if entry is not None]
        if not waiting:
            return
        doctor = await self._directory.doctor(doctor_id)
        if doctor is None or not doctor.accepting_patients:
            return
        try:
            await self._offer_all(doctor_id, waiting)
        except ScheduleChangedError:
            self.poke(doctor_id, is_waited_for=True)

    async def _still_waiting(self, entry: Entry, hours: Hours) -> Entry | None:
        """The entry if it waits for an offer, now that what is over of it has been ended.

        An offer is over once it lapses, and its entry with it: a time is not held over and over
        for who doesn't answer. One whose time the clinic has taken from its hours is nobody's
        fault: that entry waits on.
        """
        now = self._clock()
        if entry.offer is None:
            if not entry.is_over(hours, now):
                return entry
            await self._change(entry, ended(entry, WaitStatus.EXPIRED, now))
        elif entry.has_lapsed(now):
            await self._change(entry, ended(entry, WaitStatus.EXPIRED, now), LAPSED)
        elif offered_slot(entry.offer, hours, now) is None:
            back = put_back(entry, now)
            if await self._change(entry, back, WITHDRAWN):
                return back
        return None

    async def _change(
        self, before: Entry, after: Entry, result: str | None = None, version: int | None = None
    ) -> bool:
        """Writes a change of an entry; False if somebody else has changed it."""
        extras = entry_extras(before, after)
        try:
            await self._store.write(Write(before.doctor_id, (), version, {}, None, extras))
        except ExtraRefusedError:
            return False
        if result is not None:
            self._offers(result)
        return True

    async def _offer_all(self, doctor_id: str, waiting: list[Entry]) -> None:
        """Raises ScheduleChangedError."""
        now = self._clock()
        first = min(entry.first for entry in waiting)
        last = max(entry.last for entry in waiting)
        hours, view = await self._hours.calendar(
            doctor_id,
            None,
            lambda hours: hours.utc_days(*hours.bookable_dates(now, first, last)),
            (),
        )
        dates = hours.bookable_dates(now, first, last)
        free = Free(
            hours,
            (
                slot
                for day in open_slots(hours, dates, now, doctor_busy=view.doctor_busy)
                for slot in day
                if deadline_of(slot, hours, now, self._longest) is not None
            ),
        )
        for entry in waiting:
            if free:
                await self._offer(entry, hours, free)

    async def _offer(self, entry: Entry, hours: Hours, free: "Free") -> None:
        """Offers an entry the first free time that its patient has, too."""
        dates = free.dates(entry.first, entry.last)
        for n in range(0, len(dates), _DATES_AT_ONCE):
            slots = [slot for day in dates[n : n + _DATES_AT_ONCE] for slot in free.on(day)]
            days = sorted({day for slot in slots for day in slot.patient_claims})
            view = await self._store.read_calendar(entry.doctor_id, (), entry.patient_id, days)
            for slot in slots:
                if overlap(slot.patient_claims, view.patient_busy):
                    continue
                now = self._clock()
                deadline = deadline_of(slot, hours, now, self._longest)
                if deadline is None:
                    continue
                try:
                    after = offered(entry, slot, deadline, now)
                    if await self._change(entry, after, MADE, hours.schedule.version):
                        free.remove(slot)
                except SlotTakenError:
                    free.remove(slot)
                    continue
                return


async def _ended(look: Awaitable[None]) -> None:
    """One look, however it ends: what goes wrong there is no reason to leave the others alone."""
    try:
        await look
    except (StoreUnavailableError, UsersUnavailableError) as error:
        log.warning("could not look after those who wait", reason=str(error))
    except Exception:
        log.exception("could not look after those who wait")


class Free:
    """Times of a doctor that are free, as last read, by their dates."""

    def __init__(self, hours: Hours, slots: Iterable[Slot]) -> None:
        self._hours = hours
        self._slots: dict[date, list[Slot]] = {}
        for slot in slots:
            self._slots.setdefault(hours.local_date(slot.start), []).append(slot)
        self._dates = sorted(self._slots)

    def __bool__(self) -> bool:
        return bool(self._dates)

    def dates(self, first: date, last: date) -> list[date]:
        """The dates from `first` to `last` on which anything is free."""
        return self._dates[bisect_left(self._dates, first) : bisect_right(self._dates, last)]

    def on(self, day: date) -> Iterator[Slot]:
        """What is free on a date, in order."""
        return iter(self._slots.get(day, ()))

    def remove(self, taken: Slot) -> None:
        """Takes out all times that one which is taken now excludes."""
        day = self._hours.local_date(taken.start)
        for near in (day - timedelta(days=1), day, day + timedelta(days=1)):
            if near not in self._slots:
                continue
            left = [
                s for s in self._slots[near] if not overlap(s.doctor_claims, taken.doctor_claims)
            ]
            self._slots[near] = left
            if not left:
                del self._slots[near]
                self._dates.remove(near)
