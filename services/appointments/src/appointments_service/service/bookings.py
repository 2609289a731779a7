"""Use cases of appointments: book, move, cancel, run the day, and look."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple, NoReturn
from zoneinfo import ZoneInfo

from appointments_service.directory import Directory
from appointments_service.domain.appointments import (
    Actor,
    Appointment,
    Party,
    Status,
    booked,
    check_movable,
    keys_of,
    moved,
    with_status,
)
from appointments_service.domain.availability import Hours, Slot, find_slot
from appointments_service.domain.tallies import difference
from appointments_service.errors import (
    NOT_BOOKABLE,
    AppointmentsError,
    DoctorUnavailableError,
    ForbiddenError,
    IdempotencyKeyReusedError,
    InvalidFieldError,
    NotFoundError,
    SameTimeError,
    StoreUnavailableError,
    UnknownDoctorError,
    UnknownPatientError,
    VersionMismatchError,
)
from appointments_service.service.hours import HoursCache
from appointments_service.service.schedules import ATTEMPTS, DETAILS
from appointments_service.store import (
    AnsweredBeforeError,
    AppointmentChangedError,
    AppointmentStore,
    IdempotencyRecord,
    Position,
    ScheduleChangedError,
    Selection,
    StoredAnswer,
    Write,
)

ANSWERS_KEPT = timedelta(hours=24)

CHANGES = ("booked", "moved", *(status.value for status in Status if status is not Status.BOOKED))
"""What can become of an appointment, as it is counted."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's key for one request.

    Attributes:
        key: a digest over the method, the path and the caller's key.
        request_hash: a digest over the body: the same key with another one is refused.
        status: of the answer, should the request succeed.
        render: the answer's body.
    """

    caller_id: str
    key: str
    request_hash: str
    status: int
    render: Callable[[Appointment], bytes]


class Done(NamedTuple):
    """What a request led to: an appointment, or the answer that its key had already."""

    appointment: Appointment | None
    answered: StoredAnswer | None


class Bookings:
    """What callers may do with appointments.

    Args:
        new_key: makes the key of a new appointment.
        clinic: the zone whose dates the tallies are kept by.
        changed: told of each change that was made, once: `booked`, `moved`, or the new status.
    """

    def __init__(
        self,
        store: AppointmentStore,
        directory: Directory,
        hours: HoursCache,
        clock: Callable[[], datetime],
        new_key: Callable[[datetime], str],
        clinic: ZoneInfo,
        changed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._hours = hours
        self._clock = clock
        self._new_key = new_key
        self._clinic = clinic
        self._changed = changed

    async def book(
        self,
        actor: Actor,
        *,
        doctor_id: str,
        patient_id: str | None,
        starts_at: datetime,
        reason: str | None,
        idempotency: Idempotency | None,
    ) -> Done:
        """Books a time for a patient. Raises NotBookableError, each with its code."""

        async def attempt() -> Appointment:
            patient = await self._patient(actor, doctor_id, patient_id)
            doctor = await self._directory.doctor(doctor_id)
            if doctor is None:
                raise UnknownDoctorError(DETAILS["unknown_doctor"])
            if not doctor.accepting_patients:
                raise DoctorUnavailableError(DETAILS["doctor_unavailable"])

            def make(slot: Slot, hours: Hours) -> Appointment:
                now = self._clock()
                return booked(
                    self._new_key(now),
                    slot,
                    patient=patient,
                    doctor=Party(doctor.id, doctor.name),
                    timezone=hours.schedule.timezone,
                    reason=reason,
                    actor=actor,
                    now=now,
                )

            return await self._take(doctor_id, starts_at, None, make, idempotency)

        return await self._once(attempt, idempotency)

    async def move(
        self,
        actor: Actor,
        appointment_id: str,
        starts_at: datetime,
        if_match: frozenset[int] | None,
        idempotency: Idempotency | None,
    ) -> Done:
        """Moves an appointment with the same doctor. Raises as booking does."""

        async def attempt() -> Appointment:
            for _ in range(ATTEMPTS):
                before = await self.appointment(actor, appointment_id)
                _check_version(before, if_match)
                check_movable(before)
                if starts_at == before.starts_at:
                    raise SameTimeError("the appointment is at this time")

                def make(slot: Slot, hours: Hours, before: Appointment = before) -> Appointment:
                    zone = hours.schedule.timezone
                    return moved(before, slot, timezone=zone, actor=actor, now=self._clock())

                try:
                    return await self._take(before.doctor_id, starts_at, before, make, idempotency)
                except AppointmentChangedError:
                    continue
            raise StoreUnavailableError("the appointment is being changed by others")

        return await self._once(attempt, idempotency)

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
            before = await self.appointment(actor, appointment_id)
            _check_version(before, if_match)
            after = with_status(before, status, actor=actor, now=self._clock(), note=note)
            try:
                await self._store.write(self._write(before, after, None, None))
            except AppointmentChangedError:
                continue
            self._changed(status.value)
            return after
        raise StoreUnavailableError("the appointment is being changed by others")

    async def appointment(self, actor: Actor, appointment_id: str) -> Appointment:
        """One appointment. Raises NotFoundError for one that the caller may not know of."""
        keys = keys_of(appointment_id)
        found = await self._store.read_appointment(*keys) if keys is not None else None
        if found is None or not found.visible_to(actor):
            raise NotFoundError
        return found

    async def appointments(
        self, actor: Actor, selection: Selection, limit: int, after: Position | None
    ) -> tuple[list[Appointment], Position | None]:
        """A page of the caller's own appointments or schedule, or of anybody's for the staff."""
        return await self._store.list_appointments(_own(actor, selection), limit, after)

    async def _patient(self, actor: Actor, doctor_id: str, patient_id: str | None) -> Party:
        """For whom is booked: patients book for themselves, others name one."""
        if actor.role == "patient":
            if patient_id not in (None, actor.id):
                raise ForbiddenError("a patient books for itself")
            return Party(actor.id, actor.name)
        if actor.role == "doctor" and doctor_id != actor.id:
            raise ForbiddenError("a doctor books into the own schedule")
        patient = await self._directory.patient(patient_id) if patient_id is not None else None
        if patient is None:
            raise UnknownPatientError(DETAILS["unknown_patient"])
        return Party(patient.id, patient.name)

    async def _take(
        self,
        doctor_id: str,
        starts_at: datetime,
        before: Appointment | None,
        make: Callable[[Slot, Hours], Appointment],
        idempotency: Idempotency | None,
    ) -> Appointment:
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
            slot = find_slot(hours, starts_at, self._clock())
            if isinstance(slot, Slot):
                after = make(slot, hours)
                write = self._write(before, after, hours.schedule.version, idempotency)
                try:
                    await self._store.write(write)
                except ScheduleChangedError:
                    hours, fresh = await self._hours.read(doctor_id), True
                    continue
                self._changed("moved" if before else "booked")
                return after
            if fresh:
                _refuse(slot)
            hours, fresh = await self._hours.read(doctor_id), True
        raise StoreUnavailableError("the schedule is being changed by others")

    def _write(
        self,
        before: Appointment | None,
        after: Appointment,
        schedule_version: int | None,
        idempotency: Idempotency | None,
    ) -> Write:
        record = None
        if idempotency is not None:
            now = after.updated_at
            answer = StoredAnswer(
                idempotency.status,
                idempotency.render(after),
                after.version,
                idempotency.request_hash,
            )
            record = IdempotencyRecord(
                idempotency.caller_id, idempotency.key, answer, now, now + ANSWERS_KEPT
            )
        tallies = difference(before, after, self._clinic)
        return Write(before, after, schedule_version, tallies, record)

    async def _once(
        self, attempt: Callable[[], Awaitable[Appointment]], idempotency: Idempotency | None
    ) -> Done:
        """Runs an attempt unless its key has an answer, which then is the answer.

        The key is looked up in the write itself, so a success costs no read; only when the
        attempt is refused beforehand must it be asked whether it succeeded once before.
        """
        try:
            return Done(await attempt(), None)
        except AnsweredBeforeError as answered:
            answer = answered.answer
        except StoreUnavailableError:
            raise  # where the write found nobody, a read would only take as long again
        except AppointmentsError:
            found = await self._answer(idempotency)
            if found is None:
                raise
            answer = found
        if idempotency is None or answer.request_hash != idempotency.request_hash:
            raise IdempotencyKeyReusedError("the key was used with another request")
        return Done(None, answer)

    async def _answer(self, idempotency: Idempotency | None) -> StoredAnswer | None:
        if idempotency is None:
            return None
        return await self._store.read_answer(idempotency.caller_id, idempotency.key, self._clock())


def _check_version(appointment: Appointment, if_match: frozenset[int] | None) -> None:
    if if_match is not None and appointment.version not in if_match:
        raise VersionMismatchError("the appointment is in another version")


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
