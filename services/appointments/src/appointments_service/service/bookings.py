"""Use cases of appointments: book, move, cancel, run the day, and look."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NoReturn

from appointments_service.domain.appointments import (
    Actor,
    Appointment,
    Status,
    booked,
    check_movable,
    moved,
    with_status,
)
from appointments_service.domain.availability import Hours, Slot, find_slot
from appointments_service.domain.overriding import overriding_slot
from appointments_service.errors import (
    NOT_BOOKABLE,
    DoctorUnavailableError,
    ForbiddenError,
    InvalidFieldError,
    SameTimeError,
    StoreUnavailableError,
)
from appointments_service.service.answers import Answers, Done, Idempotency, Made
from appointments_service.service.changes import Changes
from appointments_service.service.hours import ATTEMPTS, HoursCache
from appointments_service.service.parties import Parties
from appointments_service.service.schedules import DETAILS
from appointments_service.store import (
    AppointmentChangedError,
    Changed,
    Position,
    ScheduleChangedError,
    Selection,
)

FindSlot = Callable[[Hours, datetime, datetime], Slot | str]


class Bookings:
    """What callers may do with appointments.

    Args:
        new_key: makes the key of a new appointment.
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
        self,
        actor: Actor,
        *,
        doctor_id: str,
        patient_id: str | None,
        starts_at: datetime,
        reason: str | None,
        override: bool,
        idempotency: Idempotency[Appointment] | None,
    ) -> Done[Appointment]:
        """Books a time for a patient.

        Args:
            override: book it whoever else holds the time, and whatever the hours say.

        Raises:
            NotBookableError: each reason with its code.
            ForbiddenError: an override by anybody but the staff.
            InvalidFieldError: an override without a reason.
        """
        if override:
            _check_override(actor, reason)

        async def attempt() -> Made:
            patient, doctor = await self._parties.of(actor, doctor_id, patient_id)

            def make(slot: Slot, hours: Hours) -> Appointment:
                now = self._changes.clock()
                return booked(
                    self._new_key(now),
                    slot,
                    patient=patient,
                    doctor=doctor,
                    timezone=hours.schedule.timezone,
                    reason=reason,
                    actor=actor,
                    now=now,
                    override=override,
                )

            find = overriding_slot if override else find_slot
            return await self._take(doctor_id, starts_at, None, make, idempotency, find)

        return await self._answers.once(attempt, idempotency)

    async def move(
        self,
        actor: Actor,
        appointment_id: str,
        starts_at: datetime,
        if_match: frozenset[int] | None,
        idempotency: Idempotency[Appointment] | None,
    ) -> Done[Appointment]:
        """Moves an appointment with the same doctor. Raises as booking does."""

        async def attempt() -> Made:
            for _ in range(ATTEMPTS):
                before = await self._changes.find(actor, appointment_id, if_match)
                check_movable(before)
                if starts_at == before.starts_at:
                    raise SameTimeError("the appointment is at this time")

                def make(slot: Slot, hours: Hours, before: Appointment = before) -> Appointment:
                    zone, now = hours.schedule.timezone, self._changes.clock()
                    return moved(before, slot, timezone=zone, actor=actor, now=now)

                try:
                    return await self._take(before.doctor_id, starts_at, before, make, idempotency)
                except AppointmentChangedError:
                    continue
            raise StoreUnavailableError("the appointment is being changed by others")

        return await self._answers.once(attempt, idempotency)

    async def change_status(
        self,
        actor: Actor,
        appointment_id: str,
        status: Status,
        if_match: frozenset[int] | None,
        note: str | None = None,
    ) -> Appointment:
        """Cancels, checks in, completes, or notes that nobody came."""
        for _ in range(ATTEMPTS):
            before = await self._changes.find(actor, appointment_id, if_match)
            now = self._changes.clock()
            after = with_status(before, status, actor=actor, now=now, note=note)
            try:
                await self._changes.write(status.value, Changed(before, after))
            except AppointmentChangedError:
                continue
            return after
        raise StoreUnavailableError("the appointment is being changed by others")

    async def appointment(self, actor: Actor, appointment_id: str) -> Appointment:
        """One appointment. Raises NotFoundError for one that the caller may not know of."""
        return await self._changes.find(actor, appointment_id)

    async def appointments(
        self, actor: Actor, selection: Selection, limit: int, after: Position | None
    ) -> tuple[list[Appointment], Position | None]:
        """A page of the caller's own appointments or schedule, or of anybody's for the staff."""
        return await self._changes.store.list_appointments(_own(actor, selection), limit, after)

    async def _take(
        self,
        doctor_id: str,
        starts_at: datetime,
        before: Appointment | None,
        make: Callable[[Slot, Hours], Appointment],
        idempotency: Idempotency[Appointment] | None,
        find: FindSlot = find_slot,
    ) -> Made:
        """Writes the appointment that `make` gives for the slot at that time.

        The hours may be kept ones: if they have changed, the write finds out. A refusal, which
        no write would check, is only given from hours just read.
        """
        hours = self._hours.known(doctor_id)
        fresh = False
        for _ in range(ATTEMPTS):
            if hours is None and not fresh:
                hours, fresh = await self._hours.read(doctor_id), True
            if hours is None:
                raise DoctorUnavailableError(DETAILS["doctor_unavailable"])
            slot = find(hours, starts_at, self._changes.clock())
            if isinstance(slot, Slot):
                after = make(slot, hours)
                try:
                    await self._changes.write(
                        _what(before, after),
                        Changed(before, after),
                        schedule_version=hours.schedule.version,
                        idempotency=idempotency,
                    )
                except ScheduleChangedError:
                    hours, fresh = await self._hours.read(doctor_id), True
                    continue
                return (after,)
            if fresh:
                _refuse(slot)
            hours, fresh = await self._hours.read(doctor_id), True
        raise StoreUnavailableError("the schedule is being changed by others")


def _what(before: Appointment | None, after: Appointment) -> str:
    if before is not None:
        return "moved"
    return "overridden" if after.override else "booked"


def _check_override(actor: Actor, reason: str | None) -> None:
    if actor.role != "admin":
        raise ForbiddenError("only the staff books over others")
    if reason is None or not reason.strip():
        raise InvalidFieldError(("body", "reason"), "say why")


def _refuse(code: str) -> NoReturn:
    raise NOT_BOOKABLE[code](DETAILS[code])


def _own(actor: Actor, selection: Selection) -> Selection:
    """The selection, narrowed to what the caller may see.

    Raises:
        ForbiddenError: it asks for another's. InvalidFieldError: the staff names nobody.
    """
    if actor.role == "patient":
        if selection.patient_id not in (None, actor.id):
            raise ForbiddenError("only one's own appointments")
        return replace(selection, patient_id=actor.id)
    if actor.role == "doctor":
        if selection.doctor_id not in (None, actor.id):
            raise ForbiddenError("only the own schedule")
        return replace(selection, doctor_id=actor.id)
    if selection.patient_id is None and selection.doctor_id is None:
        raise InvalidFieldError(("query", "patient_id"), "name a patient_id or a doctor_id")
    return selection
