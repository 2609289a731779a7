"""Notices: what a patient is to be told of appointments, when, and whether it still holds then."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from appointments_service.domain.appointments import Appointment, Status

REMINDER_LEAD: Final = timedelta(hours=24)
"""So long before the start it is reminded of.

By the day, and not at an hour of the evening before: who can't come tells it while there is a day
in which somebody else can be given the time; nobody is mailed at night who isn't seen at night; and
the mails of a day are spread over it.
"""


class Kind(StrEnum):
    """What a notice is about."""

    BOOKED = "booked"
    MOVED = "moved"
    CANCELLED = "cancelled"
    REMINDER = "reminder"


@dataclass(frozen=True, slots=True)
class Notice:
    """One mail to be: ids and nothing of anybody, so that there is nothing to erase.

    Attributes:
        about: key and version of each appointment (all of a series that change at once).
        due_at: when it is to be sent.
    """

    kind: Kind
    patient_id: str
    about: tuple[tuple[str, int], ...]
    due_at: datetime

    @property
    def id(self) -> str:
        """No other notice has it: a change makes a version that no other change made."""
        key, version = self.about[0]
        return f"{self.patient_id}{key}#{version}#{self.kind}"

    def to_json(self) -> str:
        """All but when it is due."""
        return json.dumps([self.kind, self.patient_id, self.about])


def read_notice(text: str, due_at: datetime) -> Notice:
    """A notice as `to_json` wrote it. Raises ValueError for what it has not written."""
    match json.loads(text):
        case [str(kind), str(patient_id), [_, *_] as about]:
            pairs = tuple((str(key), int(version)) for key, version in about)
            return Notice(Kind(kind), patient_id, pairs, due_at)
    raise ValueError("this is no notice")


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice in words, and as an iCalendar object."""

    subject: str
    text: str
    event: bytes


def notice_of(what: str, changed: Sequence[Appointment], now: datetime) -> Notice | None:
    """What the patient is told of a change; None of one that needs no mail.

    Args:
        what: what has become of them, as changes are counted.
    """
    kind = _TOLD.get(what)
    coming = [one for one in changed if one.starts_at > now]
    if kind is None or not coming:
        return None
    return Notice(kind, coming[0].patient_id, _versions(coming), now)


_TOLD: Final = {
    "booked": Kind.BOOKED,
    "overridden": Kind.BOOKED,
    "moved": Kind.MOVED,
    "cancelled": Kind.CANCELLED,
}


def reminders_after(notice: Notice, told: Iterable[Appointment], now: datetime) -> list[Notice]:
    """The reminders that follow on a notice; none of what begins within `REMINDER_LEAD`."""
    if notice.kind not in (Kind.BOOKED, Kind.MOVED):
        return []
    return [
        Notice(Kind.REMINDER, one.patient_id, _versions([one]), one.starts_at - REMINDER_LEAD)
        for one in told
        if one.starts_at - REMINDER_LEAD > now
    ]


def still_holding(
    notice: Notice, found: Mapping[str, Appointment], now: datetime
) -> list[Appointment]:
    """Those appointments of which a notice still tells the truth, and in time.

    Args:
        found: the appointments as they are, by their keys.
    """
    return [
        found[key]
        for key, version in notice.about
        if key in found and _holds(notice.kind, version, found[key], now)
    ]


def _holds(kind: Kind, version: int, appointment: Appointment, now: datetime) -> bool:
    if appointment.starts_at <= now:
        return False
    if kind is Kind.CANCELLED:
        return appointment.status is Status.CANCELLED
    if kind is Kind.REMINDER and appointment.status is not Status.BOOKED:
        return False
    # Every version has a line. One that was moved there and back has been told of again since.
    since = appointment.history[version - 1 :]
    unmoved = all(change.starts_at == appointment.starts_at for change in since)
    return appointment.status.keeps_time and bool(since) and unmoved


def _versions(appointments: Iterable[Appointment]) -> tuple[tuple[str, int], ...]:
    return tuple((one.key, one.version) for one in appointments)
