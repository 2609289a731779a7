"""The hours of many doctors at once, of which only the dates that are looked at are read.

Where `HoursCache` knows a doctor whole, its hours are taken. Reading the overrides of each of
hundreds of others with a Query would be hundreds of calls; here those of the dates in question
come in batches, and more as more dates are asked for.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import date

from appointments_service.domain.availability import Hours, Shelf
from appointments_service.domain.schedules import Override, Schedule
from appointments_service.service.hours import CAPACITY, HoursCache
from appointments_service.store import AppointmentStore


class PartHours(Hours):
    """Hours whose overrides are known on some dates only; about the others nothing may be asked.

    Attributes:
        learned: those dates.
    """

    def __init__(self, schedule: Schedule, shelf: Shelf) -> None:
        self._found: dict[date, Override] = {}
        super().__init__(schedule, self._found, shelf)
        self.learned: set[date] = set()

    def learn(self, day: date, override: Override | None) -> None:
        """What is said of a date for the first time holds: its grid may have been used."""
        if day not in self.learned:
            self.learned.add(day)
            if override is not None:
                self._found[day] = override


class ManyHours:
    """Least recently used hours go first; those of `capacity` doctors are kept."""

    def __init__(
        self, store: AppointmentStore, cache: HoursCache, capacity: int = CAPACITY
    ) -> None:
        self._store = store
        self._cache = cache
        self._capacity = capacity
        self._parts: OrderedDict[str, PartHours] = OrderedDict()

    def known(self, doctor_id: str) -> Hours | None:
        """What was last read of a doctor, however long ago."""
        whole, part = self._cache.known(doctor_id), self._parts.get(doctor_id)
        if part is None:
            return whole
        if whole is not None and whole.schedule.version >= part.schedule.version:
            del self._parts[doctor_id]
            return whole
        self._parts.move_to_end(doctor_id)
        return part

    def take(self, schedule: Schedule) -> Hours:
        """The hours of a schedule just read: the known ones if they are of its version."""
        known = self.known(schedule.doctor_id)
        if known is not None and known.schedule.version == schedule.version:
            return known
        part = self._parts[schedule.doctor_id] = PartHours(schedule, self._cache.shelf)
        self._parts.move_to_end(schedule.doctor_id)
        while len(self._parts) > self._capacity:
            self._parts.popitem(last=False)
        return part

    async def learn(self, dates: Mapping[Hours, Iterable[date]]) -> None:
        """Reads what isn't known of the overrides on dates, each doctor's own.

        The schedules were read before that, so what is learned is at least as new as they are;
        newer only if they are no longer in force, which shows when they are read again.
        """
        missing = {
            hours: [day for day in days if day not in hours.learned]
            for hours, days in dates.items()
            if isinstance(hours, PartHours)
        }
        read = await self._store.read_overrides_on(
            {hours.schedule.doctor_id: days for hours, days in missing.items()}
        )
        found = {(override.doctor_id, override.date): override for override in read}
        for hours, days in missing.items():
            for day in days:
                hours.learn(day, found.get((hours.schedule.doctor_id, day)))
