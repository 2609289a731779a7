"""Use cases of series: book several appointments at once or none, and cancel those that remain."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import (
    Actor,
    Appointment,
    Party,
    Status,
    booked,
    with_status,
)
from appointments_service.domain.availability import Hours, Slot, refusal_of
from appointments_service.domain.series import Turn, slot_of, turns_of
from appointments_service.errors import (
    DoctorUnavailableError,
    InvalidFieldError,
    NoScheduleError,
    PatientBusyError,
    SeriesConflictError,
    SlotTakenError,
    StoreUnavailableError,
)
from appointments_service.service.answers import Answers, Done, Idempotency, Made
from appointments_service.service.changes import Changes
from appointments_service.service.hours import ATTEMPTS, HoursCache
from appointments_service.service.parties import Parties
from appointments_service.service.schedules import DETAILS
from appointments_service.store import AppointmentChangedError, Changed, ScheduleChangedError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A series as it is asked for."""

    doctor_id: str
    patient_id: str | None
    starts_at: datetime
    every_weeks: int
    count: int
    reason: str | None

    def turns(self, hours: Hours) -> list[Turn]:
        """Its turns, by the clocks of the schedule."""
        zone = ZoneInfo(hours.schedule.timezone)
        return turns_of(self.starts_at, self.every_weeks, self.count, zone)


class SeriesOfAppointments:
    """What callers may do with series.

    Args:
        new_key: makes the key of a new appointment, and a series' id.
    """

    def __init__(
        self,
        changes: Changes,
        answers: Answers,
        parties: Parties,
        hours: HoursCache,
        new_key: Callable[[datetime], str],
    ) -> None:
        self._changes = changes
        self._answers = answers
        self._parties = parties
        self._hours = hours
        self._new_key = new_key

    async def book(
        self, actor: Actor, wanted: Wanted, idempotency: Idempotency[Appointment] | None
    ) -> Done[Appointment]:
        """Books all appointments of a series, or none.

        Raises:
            SeriesConflictError: which of them can't be, and why.
            NotBookableError: whom it is about, as booking says it.
        """

        async def attempt() -> Made:
            patient, doctor = await self._parties.of(actor, wanted.doctor_id, wanted.patient_id)

            def make(slots: list[Slot], hours: Hours) -> Made:
                now = self._changes.clock()
                series_id = self._new_key(now)
                return tuple(
                    booked(
                        self._new_key(now),
                        slot,
                        patient=patient,
                        doctor=doctor,
                        timezone=hours.schedule.timezone,
                        reason=wanted.reason,
                        actor=actor,
                        now=now,
                        series_id=series_id,
                    )
                    for slot in slots
                )

            return await self._take(wanted, patient, make, idempotency)

        return await self._answers.once(attempt, idempotency)

    async def _take(
        self,
        wanted: Wanted,
        patient: Party,
        make: Callable[[list[Slot], Hours], Made],
        idempotency: Idempotency[Appointment] | None,
    ) -> Made:
        """Writes the appointments that `make` gives for all slots.

        As a booking does, it trusts the hours that are kept, and the write to find out. What is in
        the way is told from a read of hours and calendars together; if by then nothing is any
        more, it is tried again.
        """
        hours = self._hours.known(wanted.doctor_id)
        for _ in range(ATTEMPTS):
            slots = self._slots(wanted, hours) if hours is not None else []
            if hours is not None and slots:
                made = make(slots, hours)
                try:
                    await self._changes.write(
                        "booked",
                        *(Changed(None, one) for one in made),
                        schedule_version=hours.schedule.version,
                        idempotency=idempotency,
                    )
                except ScheduleChangedError:
                    hours = await self._hours.read(wanted.doctor_id)
                    continue
                except (SlotTakenError, PatientBusyError):
                    pass  # of one of them: the others' reasons are yet to be found
                else:
                    return made
            hours = await self._free_hours(wanted, patient)
        raise StoreUnavailableError("the calendar is being changed by others")

    def _slots(self, wanted: Wanted, hours: Hours) -> list[Slot]:
        """The slots of all turns; none if the hours don't allow one of them."""
        now = self._changes.clock()
        found = [slot_of(turn, hours, now) for turn in wanted.turns(hours)]
        slots = [slot for slot in found if isinstance(slot, Slot)]
        return slots if len(slots) == wanted.count else []

    async def _free_hours(self, wanted: Wanted, patient: Party) -> Hours:
        """The hours in force, under which nothing is in the way of any turn just now.

        Raises:
            SeriesConflictError: all that is in the way, by one look at hours and calendars.
            DoctorUnavailableError: there is no schedule.
        """
        now = self._changes.clock()

        def days(hours: Hours) -> tuple[int, ...]:
            found = [slot_of(turn, hours, now) for turn in wanted.turns(hours)]
            slots = [slot for slot in found if isinstance(slot, Slot)]
            return tuple(sorted({day for slot in slots for day in slot.doctor_claims}))

        try:
            hours, view = await self._hours.calendar(wanted.doctor_id, patient.id, days, ())
        except NoScheduleError:
            raise DoctorUnavailableError(DETAILS["doctor_unavailable"]) from None
        conflicts = []
        for turn in wanted.turns(hours):
            slot = slot_of(turn, hours, now)
            code = (
                slot
                if isinstance(slot, str)
                else refusal_of(slot, doctor_busy=view.doctor_busy, patient_busy=view.patient_busy)
            )
            if code is not None:
                conflicts.append((turn.starts_at, code))
        if conflicts:
            raise SeriesConflictError(conflicts)
        return hours

    async def cancel_remaining(
        self,
        actor: Actor,
        appointment_id: str,
        if_match: frozenset[int] | None,
        note: str | None,
    ) -> Appointment:
        """Cancels an appointment and all later ones of its series that are still booked.

        Args:
            if_match: versions of the named one.

        Returns:
            The named one.

        Raises:
            InvalidFieldError: it is of no series. WrongStatusError: it can't be cancelled.
        """
        for _ in range(ATTEMPTS):
            named = await self._changes.find(actor, appointment_id, if_match)
            if named.series_id is None:
                raise InvalidFieldError(("body", "series"), "the appointment is of no series")
            later = await self._changes.store.read_series(
                named.patient_id, named.series_id, named.starts_at
            )
            remaining = [
                one
                for one in later
                if one.status is Status.BOOKED and one.starts_at > named.starts_at
            ]
            now = self._changes.clock()
            changes = [
                Changed(one, with_status(one, Status.CANCELLED, actor=actor, now=now, note=note))
                for one in (named, *remaining)
            ]
            try:
                await self._changes.write(Status.CANCELLED.value, *changes)
            except AppointmentChangedError:
                continue
            return changes[0].after
        raise StoreUnavailableError("the series is being changed by others")
