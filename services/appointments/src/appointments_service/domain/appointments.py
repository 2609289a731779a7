"""An appointment, its states, and what each change of it makes of it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from appointments_service.domain.availability import Slot, moment_of
from appointments_service.domain.buckets import FREE, Claims
from appointments_service.errors import TooEarlyError, TooManyMovesError, WrongStatusError


class Status(StrEnum):
    """`booked` → `checked_in` → `completed`; `booked` → `cancelled` | `no_show`;
    `checked_in` → `cancelled`.
    """

    BOOKED = "booked"
    CHECKED_IN = "checked_in"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"

    @property
    def keeps_time(self) -> bool:
        """Whether an appointment in this state holds its time."""
        return self is not Status.CANCELLED


_MAY_BECOME = {
    Status.BOOKED: {Status.CHECKED_IN, Status.CANCELLED, Status.NO_SHOW},
    Status.CHECKED_IN: {Status.COMPLETED, Status.CANCELLED},
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a person with one role."""

    id: str
    role: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of an appointment's history. `from_status` is None for its beginning."""

    at: datetime
    actor_id: str
    actor_role: str
    from_status: Status | None
    to_status: Status
    starts_at: datetime
    note: str | None


@dataclass(frozen=True, slots=True)
class Appointment:
    """One patient's time with one doctor.

    The claims are those that were made for it, kept as they were: freeing gives back exactly
    these, never ones computed again from a schedule that may have changed.

    Attributes:
        override: whether its time was taken whoever else holds it, and is claimed as such.
        series_id: what it has in common with those that were booked together with it.
    """

    key: str
    patient_id: str
    patient_name: str
    doctor_id: str
    doctor_name: str
    starts_at: datetime
    ends_at: datetime
    timezone: str
    status: Status
    reason: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    cancelled_by: str | None
    override: bool
    series_id: str | None
    doctor_claims: Claims
    patient_claims: Claims
    history: tuple[Change, ...]

    @property
    def id(self) -> str:
        """The public id carries both keys, so that a read by id needs no index."""
        return self.patient_id + self.key

    def comes_of(self, earlier: "Appointment") -> bool:
        """Whether it is `earlier`, or what later changes have made of that very version."""
        return self.history[: earlier.version] == earlier.history

    def visible_to(self, actor: Actor) -> bool:
        """Its patient, its doctor and the clinic's staff may know of it."""
        return (
            actor.role == "admin"
            or (actor.role == "patient" and actor.id == self.patient_id)
            or (actor.role == "doctor" and actor.id == self.doctor_id)
        )


ERASED = "(erased)"
"""In the place of a patient's name, once its account is closed. In brackets, as no name is."""

KEY_LENGTH = 26
# Some 30 KB of history: far below an item's 400, and what each further change would cost to write.
MAX_CHANGES = 200


def keys_of(appointment_id: str) -> tuple[str, str] | None:
    """The patient's id and the key that an appointment's id carries; None if it is no such id."""
    if len(appointment_id) <= KEY_LENGTH:
        return None
    return appointment_id[:-KEY_LENGTH], appointment_id[-KEY_LENGTH:]


@dataclass(frozen=True, slots=True)
class Party:
    """Who an appointment is with or for: a person's id and name."""

    id: str
    name: str


def booked(
    key: str,
    slot: Slot,
    *,
    patient: Party,
    doctor: Party,
    timezone: str,
    reason: str | None,
    actor: Actor,
    now: datetime,
    override: bool = False,
    series_id: str | None = None,
) -> Appointment:
    """A new appointment in a slot. The history of an override tells its reason."""
    starts_at = moment_of(slot.start)
    note = f"override: {reason}" if override else None
    return Appointment(
        key=key,
        patient_id=patient.id,
        patient_name=patient.name,
        doctor_id=doctor.id,
        doctor_name=doctor.name,
        starts_at=starts_at,
        ends_at=moment_of(slot.end),
        timezone=timezone,
        status=Status.BOOKED,
        reason=reason,
        version=1,
        created_at=now,
        updated_at=now,
        cancelled_by=None,
        override=override,
        series_id=series_id,
        doctor_claims=slot.doctor_claims,
        patient_claims=slot.patient_claims,
        history=(Change(now, actor.id, actor.role, None, Status.BOOKED, starts_at, note),),
    )


def check_movable(appointment: Appointment) -> None:
    """Only what is booked can be moved, and not without end: its history is kept with it.

    Raises:
        WrongStatusError: it isn't booked. TooManyMovesError: `MAX_CHANGES` have happened to it.
    """
    if appointment.status is not Status.BOOKED:
        raise WrongStatusError(f"the appointment is {appointment.status}")
    if len(appointment.history) >= MAX_CHANGES:
        raise TooManyMovesError(f"the appointment has changed {MAX_CHANGES} times")


def moved(
    appointment: Appointment, slot: Slot, *, timezone: str, actor: Actor, now: datetime
) -> Appointment:
    """The appointment in another slot, which is taken as any is: what was an override is none."""
    starts_at = moment_of(slot.start)
    return replace(
        _next(appointment, Status.BOOKED, starts_at, actor, now, None),
        starts_at=starts_at,
        ends_at=moment_of(slot.end),
        timezone=timezone,
        override=False,
        doctor_claims=slot.doctor_claims,
        patient_claims=slot.patient_claims,
    )


def with_status(
    appointment: Appointment, status: Status, *, actor: Actor, now: datetime, note: str | None
) -> Appointment:
    """The appointment in another state; `cancelled` gives its time back.

    Raises:
        WrongStatusError: from its state there is no way to that one.
        TooEarlyError: a no-show before the start.
    """
    if status not in _MAY_BECOME.get(appointment.status, ()):
        raise WrongStatusError(f"the appointment is {appointment.status}")
    if status is Status.NO_SHOW and now < appointment.starts_at:
        raise TooEarlyError("the appointment has not begun")
    changed = _next(appointment, status, appointment.starts_at, actor, now, note)
    if status.keeps_time:
        return changed
    return replace(changed, cancelled_by=actor.id, doctor_claims=FREE, patient_claims=FREE)


def erased(appointment: Appointment, *, actor: Actor, now: datetime) -> Appointment:
    """The appointment without what it says of its patient; its time, status and ids stay.

    The history gets a line of it, for there is one for every version.
    """
    changed = _next(appointment, appointment.status, appointment.starts_at, actor, now, None)
    history = tuple(replace(change, note=None) for change in changed.history)
    return replace(changed, patient_name=ERASED, reason=None, history=history)


def _next(
    appointment: Appointment,
    status: Status,
    starts_at: datetime,
    actor: Actor,
    now: datetime,
    note: str | None,
) -> Appointment:
    """The appointment's next version, with a line of history that tells of it."""
    change = Change(now, actor.id, actor.role, appointment.status, status, starts_at, note)
    return replace(
        appointment,
        status=status,
        version=appointment.version + 1,
        updated_at=now,
        history=(*appointment.history, change),
    )
