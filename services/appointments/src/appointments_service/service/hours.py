"""Doctors' hours as this process last read them, each with the version it has.

A cache may be behind: another instance may have changed the hours. That never makes a wrong
booking, since the write checks the version; and never a wrong refusal or offer, since those are
only given from hours whose version was read for them.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import date, datetime, timedelta

from appointments_service.domain.availability import Hours, Shelf
from appointments_service.domain.schedules import Schedule
from appointments_service.errors import NoScheduleError, StoreUnavailableError
from appointments_service.store import AppointmentStore, CalendarView

CAPACITY = 2048
# Each attempt fails only if somebody changed the same schedule or appointment meanwhile.
ATTEMPTS = 5


class HoursCache:
    """Least recently used hours go first; `capacity` doctors are kept."""

    def __init__(
        self, store: AppointmentStore, clock: Callable[[], datetime], capacity: int = CAPACITY
    ) -> None:
        self._store = store
        self._clock = clock
        self._capacity = capacity
        self._shelf = Shelf()
        self._kept: OrderedDict[str, Hours] = OrderedDict()

    @property
    def shelf(self) -> Shelf:
        """Where grids are kept, whoever's."""
        return self._shelf

    def known(self, doctor_id: str) -> Hours | None:
        """What was last read of a doctor, however long ago."""
        hours = self._kept.get(doctor_id)
        if hours is not None:
            self._kept.move_to_end(doctor_id)
        return hours

    async def read(self, doctor_id: str) -> Hours | None:
        """The hours in force now; None for a doctor without a schedule."""
        return await self.of(await self._store.read_schedule(doctor_id))

    async def of(self, schedule: Schedule | None) -> Hours | None:
        """The hours of a schedule just read: the kept ones if they are of its version."""
        if schedule is None:
            return None
        known = self.known(schedule.doctor_id)
        if known is not None and known.schedule.version == schedule.version:
            return known
        # Yesterday's date may still be today's somewhere; older overrides concern no booking.
        first = (self._clock() - timedelta(days=2)).date()
        overrides = await self._store.read_overrides(schedule.doctor_id, first, None)
        hours = Hours(schedule, {one.date: one for one in overrides}, self._shelf)
        self._keep(hours)
        return hours

    async def calendar(
        self,
        doctor_id: str,
        patient_id: str | None,
        days: Callable[[Hours], tuple[int, ...]],
        guess: tuple[int, ...],
    ) -> tuple[Hours, CalendarView]:
        """The hours in force and what is busy, of one moment.

        One call where the hours are known and still in force, one more where they aren't.

        Args:
            days: the UTC days to look at, given the hours.
            guess: the UTC days to look at while the hours are not known.

        Raises:
            NoScheduleError: there are no hours.
        """
        hours = self.known(doctor_id)
        for _ in range(ATTEMPTS):
            wanted = days(hours) if hours is not None else guess
            view = await self._store.read_calendar(doctor_id, wanted, patient_id, wanted)
            current = await self.of(view.schedule)
            if current is None:
                raise NoScheduleError("the doctor has no schedule")
            if current is hours or set(days(current)) <= set(wanted):
                return current, view
            hours = current
        raise StoreUnavailableError("the schedule is being changed by others")

    def _keep(self, hours: Hours) -> None:
        doctor_id = hours.schedule.doctor_id
        known = self._kept.get(doctor_id)
        if known is None or known.schedule.version <= hours.schedule.version:
            self._kept[doctor_id] = hours
            self._kept.move_to_end(doctor_id)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)


def days_of(first: date, last: date) -> int:
    """How many dates lie from `first` to `last`, both included; below one if reversed."""
    return (last - first).days + 1
