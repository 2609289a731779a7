"""Use cases of schedules: set hours, override a date, show what is open and why a time is not."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime

from appointments_service.directory import Directory
from appointments_service.domain.appointments import Actor
from appointments_service.domain.availability import (
    Hours,
    OpenDay,
    Slot,
    find_slot,
    open_slots,
    refusal_of,
)
from appointments_service.domain.buckets import day_number
from appointments_service.domain.schedules import Interval, Override, Schedule
from appointments_service.errors import (
    ForbiddenError,
    InvalidFieldError,
    NoScheduleError,
    NotFoundError,
    StoreUnavailableError,
    VersionMismatchError,
)
from appointments_service.service.hours import ATTEMPTS, HoursCache, days_of
from appointments_service.store import AppointmentStore, ScheduleChangedError

MAX_SLOT_DAYS = 62
MAX_HORIZON_DAYS = 730

DETAILS: Mapping[str, str] = {
    "unknown_doctor": "there is no such doctor",
    "unknown_patient": "there is no such patient",
    "doctor_unavailable": "the doctor takes no appointments",
    "too_soon": "the time is over, or within the notice that the doctor wants",
    "too_far": "the time is behind the horizon up to which the doctor takes bookings",
    "outside_hours": "the appointment would not lie within the doctor's hours",
    "misaligned": "no appointment starts at this time",
    "slot_taken": "another appointment of the doctor holds the time",
    "patient_busy": "another appointment of the patient holds the time",
}


class Schedules:
    """What callers may do with doctors' hours.

    Args:
        changed: told of a doctor whose hours have changed.
    """

    def __init__(
        self,
        store: AppointmentStore,
        directory: Directory,
        hours: HoursCache,
        clock: Callable[[], datetime],
        changed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._hours = hours
        self._clock = clock
        self._changed = changed

    async def schedule(self, doctor_id: str) -> Schedule:
        """The schedule in force. Raises NoScheduleError."""
        schedule = await self._store.read_schedule(doctor_id)
        if schedule is None:
            raise NoScheduleError("the doctor has no schedule")
        return schedule

    async def set_schedule(
        self, actor: Actor, wanted: Schedule, if_match: frozenset[int] | None
    ) -> Schedule:
        """Puts a schedule in force; `version` and `valid_from` of `wanted` are set here."""
        await self._check_may_change(actor, wanted.doctor_id)
        for _ in range(ATTEMPTS):
            former = await self._store.read_schedule(wanted.doctor_id)
            version = former.version if former is not None else 0
            if if_match is not None and version not in if_match:
                raise VersionMismatchError("the schedule is in another version")
            schedule = replace(wanted, version=version + 1, valid_from=self._clock())
            try:
                await self._store.write_schedule(schedule, former)
            except ScheduleChangedError:
                continue
            self._changed(wanted.doctor_id)
            return schedule
        raise StoreUnavailableError("the schedule is being changed by others")

    async def overrides(
        self, doctor_id: str, first: date | None, last: date | None
    ) -> list[Override]:
        """The overrides from `first` to `last`, both included, in order."""
        return await self._store.read_overrides(doctor_id, first, last)

    async def set_override(
        self,
        actor: Actor,
        doctor_id: str,
        day: date,
        hours: tuple[Interval, ...],
        if_match: frozenset[int] | None,
    ) -> Override:
        """Sets the hours of one date, none for closed."""
        override = Override(doctor_id, day, hours, 0)
        version = await self._change_override(actor, doctor_id, day, override, if_match)
        return replace(override, version=version)

    async def remove_override(
        self, actor: Actor, doctor_id: str, day: date, if_match: frozenset[int] | None
    ) -> None:
        """Puts the weekly hours in force again on a date. Raises NotFoundError."""
        await self._change_override(actor, doctor_id, day, None, if_match)

    async def _change_override(
        self,
        actor: Actor,
        doctor_id: str,
        day: date,
        override: Override | None,
        if_match: frozenset[int] | None,
    ) -> int:
        await self._check_may_change(actor, doctor_id)
        for _ in range(ATTEMPTS):
            former = await self.schedule(doctor_id)
            present = next(iter(await self._store.read_overrides(doctor_id, day, day)), None)
            if override is None and present is None:
                raise NotFoundError("that date has no override")
            if if_match is not None and (present is None or present.version not in if_match):
                raise VersionMismatchError("the override is in another version")
            version = former.version + 1
            schedule = replace(former, version=version)
            written = replace(override, version=version) if override is not None else None
            try:
                await self._store.write_override(schedule, former, day, written)
            except ScheduleChangedError:
                continue
            self._changed(doctor_id)
            return version
        raise StoreUnavailableError("the schedule is being changed by others")

    async def _check_may_change(self, actor: Actor, doctor_id: str) -> None:
        if actor.role == "doctor" and actor.id != doctor_id:
            raise ForbiddenError("only a doctor's own schedule")
        if await self._directory.doctor(doctor_id) is None:
            raise NotFoundError("there is no such doctor")

    async def open_days(
        self, doctor_id: str, first: date, last: date, patient_id: str | None
    ) -> tuple[Schedule, list[OpenDay]]:
        """What can be booked now from `first` to `last`, in the schedule's zone.

        Args:
            patient_id: leave out what this patient's own calendar excludes.

        Raises:
            InvalidFieldError: reversed, or more than 62 days. NoScheduleError: no schedule.
        """
        if not 1 <= days_of(first, last) <= MAX_SLOT_DAYS:
            raise InvalidFieldError(("query", "to"), f"from and to span 1 to {MAX_SLOT_DAYS} days")
        doctor = await self._directory.doctor(doctor_id)
        now = self._clock()

        hours, view = await self._hours.calendar(
            doctor_id,
            patient_id,
            lambda hours: hours.utc_days(*hours.bookable_dates(now, first, last)),
            _days_around(first, last, now),
        )
        if doctor is None or not doctor.accepting_patients:
            return hours.schedule, []
        days = open_slots(
            hours,
            hours.bookable_dates(now, first, last),
            now,
            doctor_busy=view.doctor_busy,
            patient_busy=view.patient_busy,
        )
        return hours.schedule, list(days)

    async def explain(
        self, doctor_id: str, starts_at: datetime, patient_id: str | None
    ) -> str | None:
        """The code that booking this time would answer now, None if it can be booked."""
        doctor = await self._directory.doctor(doctor_id)
        if doctor is None:
            return "unknown_doctor"
        if not doctor.accepting_patients:
            return "doctor_unavailable"
        now = self._clock()

        def days(hours: Hours) -> tuple[int, ...]:
            slot = find_slot(hours, starts_at, now)
            return tuple(sorted(slot.doctor_claims)) if isinstance(slot, Slot) else ()

        try:
            hours, view = await self._hours.calendar(
                doctor_id, patient_id, days, _days_around(starts_at.date(), starts_at.date(), now)
            )
        except NoScheduleError:
            return "doctor_unavailable"
        slot = find_slot(hours, starts_at, now)
        if not isinstance(slot, Slot):
            return slot
        return refusal_of(slot, doctor_busy=view.doctor_busy, patient_busy=view.patient_busy)


def _days_around(first: date, last: date, now: datetime) -> tuple[int, ...]:
    """The UTC days that appointments on these dates of any zone may touch, if bookable at all."""
    today = day_number(now.date())
    begin = max(day_number(first) - 1, today - 1)
    end = min(day_number(last) + 1, today + MAX_HORIZON_DAYS + 1)
    return tuple(range(begin, end + 1))
