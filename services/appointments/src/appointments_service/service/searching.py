"""The use case of searching: the earliest open slots over all doctors of a specialty."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from appointments_service.directory import Directory
from appointments_service.domain.availability import Hours, dates_from, open_slots
from appointments_service.domain.earliest import Offer, first_moment, merged, windows
from appointments_service.errors import InvalidFieldError, StoreUnavailableError
from appointments_service.service.hours import ATTEMPTS, HoursCache, days_of
from appointments_service.service.many_hours import ManyHours
from appointments_service.service.schedules import MAX_HORIZON_DAYS, MAX_SLOT_DAYS
from appointments_service.store import AppointmentStore, CalendarView


@dataclass(frozen=True, slots=True)
class Found:
    """An open slot, and the name of its doctor."""

    offer: Offer
    doctor_name: str


class Searching:
    """Looks into many calendars at once.

    The calls to the store are batches of 100 keys. A search of `d` doctors that looks at `n` dates
    reads, a doctor, the schedule once for each window of dates (1, 2, 4, 8, 16 … of them) and the
    calendar days that its hours touch on them; and in a process that doesn't know the doctor's
    hours yet, the schedule and the overrides of the dates before. With slots of one UTC day a
    date, that is at most d·(n + w)/100 calls, and d·(2n + w + 1)/100 where nothing is known, w
    being the windows (at most 7), and one more call for each part that doesn't fill a batch.
    """

    def __init__(
        self,
        store: AppointmentStore,
        directory: Directory,
        cache: HoursCache,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._directory = directory
        self._hours = ManyHours(store, cache)
        self._clock = clock

    async def earliest(
        self, specialty: str, first: date, last: date, limit: int, patient_id: str | None
    ) -> list[Found]:
        """The earliest open slots from `first` to `last`, each date in its schedule's zone.

        Every date is judged as one doctor's open slots are, so each of them can be booked.

        Args:
            patient_id: leave out what this patient's own calendar excludes.

        Raises:
            InvalidFieldError: reversed, or more than 62 days.
            UsersUnavailableError: who has the specialty can't be known just now.
        """
        if not 1 <= days_of(first, last) <= MAX_SLOT_DAYS:
            raise InvalidFieldError(("query", "to"), f"from and to span 1 to {MAX_SLOT_DAYS} days")
        doctors = await self._directory.doctors_of(specialty)
        names = {one.id: one.name for one in doctors if one.accepting_patients}
        now = self._clock()
        look = _Look(self._store, self._hours, now, patient_id)
        await look.begin(list(names))
        offers: list[Offer] = []
        for window in windows(*_not_over(first, last, now)):
            streams = await look.offers(*window)
            offers = merged([offers, *streams], limit)
            if len(offers) == limit and offers[-1].start < look.next_after(window[1]):
                break
        return [Found(offer, names[offer.doctor_id]) for offer in offers]


def _not_over(first: date, last: date, now: datetime) -> tuple[date, date]:
    """The dates from `first` to `last` on which anybody can take bookings, whoever's zone it is."""
    begin = max(first, (now - timedelta(days=1)).date())
    return begin, min(last, (now + timedelta(days=MAX_HORIZON_DAYS + 1)).date())


class _Look:
    """One search's look into the calendars of doctors, at one moment.

    Args:
        patient_id: whose calendar counts too, if anybody's.
    """

    def __init__(
        self, store: AppointmentStore, hours: ManyHours, now: datetime, patient_id: str | None
    ) -> None:
        self._store = store
        self._known = hours
        self._now = now
        self._patient_id = patient_id
        self._hours: dict[str, Hours] = {}

    async def begin(self, doctor_ids: list[str]) -> None:
        """Takes what is known of the hours, and reads the rest; without any, there are no slots."""
        unknown: dict[str, tuple[int, ...]] = {}
        for doctor_id in doctor_ids:
            hours = self._known.known(doctor_id)
            if hours is None:
                unknown[doctor_id] = ()
            else:
                self._hours[doctor_id] = hours
        views = await self._store.read_calendars(unknown, None, ())
        for doctor_id in unknown:
            self._take(doctor_id, views[doctor_id])

    def next_after(self, day: date) -> int:
        """The first moment that is on a later date than `day` in any of the zones."""
        zones = {hours.schedule.timezone for hours in self._hours.values()}
        return first_moment(date.fromordinal(day.toordinal() + 1), zones)

    async def offers(self, first: date, last: date) -> list[Iterator[Offer]]:
        """What is open on dates, a stream for each doctor.

        Calendars are read together with the schedules: what comes from other hours than those in
        force is not used but looked at again, as `HoursCache.calendar` does it for one.

        Raises:
            StoreUnavailableError: the schedules are being changed again and again.
        """
        streams = []
        pending = dict(self._hours)
        for _ in range(ATTEMPTS):
            await self._known.learn(
                {hours: self._dates(hours, first, last) for hours in pending.values()}
            )
            days = {}
            for doctor_id, hours in pending.items():
                days[doctor_id] = self._days(hours, first, last)
                await asyncio.sleep(0)  # of hundreds of doctors it takes long: let others go on
            all_days = tuple(sorted({day for touched in days.values() for day in touched}))
            views = await self._store.read_calendars(days, self._patient_id, all_days)
            for doctor_id, hours in list(pending.items()):
                if self._take(doctor_id, views[doctor_id]) is hours:
                    del pending[doctor_id]
                    streams.append(self._stream(hours, first, last, views[doctor_id]))
            pending = {one: self._hours[one] for one in pending if one in self._hours}
            if not pending:
                return streams
        raise StoreUnavailableError("the schedules are being changed by others")

    def _take(self, doctor_id: str, view: CalendarView) -> Hours | None:
        """The hours in force, as they were just read."""
        if view.schedule is None:
            self._hours.pop(doctor_id, None)
            return None
        hours = self._hours[doctor_id] = self._known.take(view.schedule)
        return hours

    def _dates(self, hours: Hours, first: date, last: date) -> list[date]:
        """The dates on which anything can be booked at all."""
        return list(dates_from(*hours.bookable_dates(self._now, first, last)))

    def _days(self, hours: Hours, first: date, last: date) -> tuple[int, ...]:
        """The UTC days that can matter on dates."""
        dates = self._dates(hours, first, last)
        return tuple(sorted({day for one in dates for day in hours.grid(one).utc_days}))

    def _stream(self, hours: Hours, first: date, last: date, view: CalendarView) -> Iterator[Offer]:
        days = open_slots(
            hours,
            hours.bookable_dates(self._now, first, last),
            self._now,
            doctor_busy=view.doctor_busy,
            patient_busy=view.patient_busy,
        )
        for day in days:
            for slot in day:
                yield Offer(slot.start, hours.schedule.doctor_id, slot.end)
