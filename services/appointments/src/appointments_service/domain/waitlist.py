"""Waiting for a doctor's time: an entry of the list, its states, and the offer it may hold."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from appointments_service.domain.availability import Hours, Slot, find_slot, moment_of
from appointments_service.domain.buckets import Claims
from appointments_service.errors import WrongStatusError

SHORTEST_OFFER: Final = timedelta(minutes=10)
"""A time that would have to be accepted sooner is offered to nobody: who would see it?"""


class WaitStatus(StrEnum):
    """`waiting` → `offered` → `booked`; either → `expired` | `cancelled`; `offered` → `waiting`
    where the clinic took the offered time away.
    """

    WAITING = "waiting"
    OFFERED = "offered"
    BOOKED = "booked"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_live(self) -> bool:
        """Whether an entry in this state still waits for something."""
        return self in (WaitStatus.WAITING, WaitStatus.OFFERED)


@dataclass(frozen=True, slots=True)
class Offer:
    """A time that is held for one who waits, up to and without `expires_at`.

    Attributes:
        doctor_claims: what holds it, kept as it was made; a patient's calendar holds only what
            the patient has agreed to.
    """

    starts_at: datetime
    ends_at: datetime
    expires_at: datetime
    doctor_claims: Claims


@dataclass(frozen=True, slots=True)
class OfferedTime:
    """What a live offer holds of calendars, as an appointment holds its time."""

    doctor_id: str
    patient_id: str
    doctor_claims: Claims
    patient_claims: Claims = field(default_factory=dict)
    override: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One patient's wait for a time of one doctor.

    Attributes:
        first: from this date of the schedule's zone on; `last` is included.
        offer: there just while it is `offered`.
    """

    key: str
    patient_id: str
    doctor_id: str
    first: date
    last: date
    status: WaitStatus
    offer: Offer | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def id(self) -> str:
        """The public id carries both keys, as an appointment's does."""
        return self.patient_id + self.key

    @property
    def held(self) -> OfferedTime | None:
        """What it holds of the doctor's calendar."""
        if self.offer is None:
            return None
        return OfferedTime(self.doctor_id, self.patient_id, self.offer.doctor_claims)

    def has_lapsed(self, now: datetime) -> bool:
        """Whether it was offered a time, and the answer is overdue."""
        return self.offer is not None and self.offer.expires_at <= now

    def is_over(self, hours: Hours, now: datetime) -> bool:
        """Whether nothing on its dates can be booked any more, whatever becomes free."""
        first, _ = hours.bookable_dates(now, self.first, self.last)
        return first > self.last


def joined(
    key: str, *, patient_id: str, doctor_id: str, first: date, last: date, now: datetime
) -> Entry:
    """A new entry."""
    return Entry(
        key=key,
        patient_id=patient_id,
        doctor_id=doctor_id,
        first=first,
        last=last,
        status=WaitStatus.WAITING,
        offer=None,
        version=1,
        created_at=now,
        updated_at=now,
    )


def deadline_of(slot: Slot, hours: Hours, now: datetime, longest: timedelta) -> datetime | None:
    """Until when a slot offered now may be accepted; None if that is too soon to be offered.

    It is never beyond the notice that the doctor wants, behind which nobody may book it.
    """
    notice = timedelta(minutes=hours.schedule.min_notice_minutes)
    deadline = min(now + longest, moment_of(slot.start) - notice)
    return deadline if deadline - now >= SHORTEST_OFFER else None


def offered_slot(offer: Offer, hours: Hours, now: datetime) -> Slot | None:
    """The slot that was offered, if it is still one of the doctor's, with the same buffers."""
    slot = find_slot(hours, offer.starts_at, now)
    if not isinstance(slot, Slot):
        return None
    same = moment_of(slot.end) == offer.ends_at and slot.doctor_claims == offer.doctor_claims
    return slot if same else None


def offered(entry: Entry, slot: Slot, expires_at: datetime, now: datetime) -> Entry:
    """The entry with a time that is held for it."""
    offer = Offer(moment_of(slot.start), moment_of(slot.end), expires_at, slot.doctor_claims)
    return _next(entry, WaitStatus.OFFERED, offer, now)


def ended(entry: Entry, status: WaitStatus, now: datetime) -> Entry:
    """The entry booked, expired or cancelled. Raises WrongStatusError if it has ended before."""
    if not entry.status.is_live:
        raise WrongStatusError(f"the entry is {entry.status}")
    return _next(entry, status, None, now)


def put_back(entry: Entry, now: datetime) -> Entry:
    """The entry waiting again, at its old place: the offered time is no time of the doctor's."""
    return _next(entry, WaitStatus.WAITING, None, now)


def _next(entry: Entry, status: WaitStatus, offer: Offer | None, now: datetime) -> Entry:
    return replace(entry, status=status, offer=offer, version=entry.version + 1, updated_at=now)
