"""What a change of the waiting list writes, alone or along with an appointment."""

from dataclasses import dataclass

from appointments_service.domain.waitlist import Entry
from appointments_service.store import Extra, Holder

MOST_ENTRIES = 20
"""How many entries of one patient may wait at once: each may hold a time of a doctor."""


@dataclass(frozen=True, slots=True)
class EntryChanged(Extra):
    """What becomes of an entry; refused if it has changed since `before` was read.

    The time of the offer that it had is given back, and that of the one it has now is taken.
    """

    before: Entry | None
    after: Entry

    @property
    def gives(self) -> Holder | None:
        """The time of the former offer."""
        return self.before.held if self.before is not None else None

    @property
    def takes(self) -> Holder | None:
        """The time of the offer."""
        return self.after.held


@dataclass(frozen=True, slots=True)
class QueuePlace(Extra):
    """An entry's place among those that wait for the doctor: there while it is live."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class DoctorsQueue(Extra):
    """How many more (or, below zero, less) wait for a doctor: it is how they are found."""

    doctor_id: str
    delta: int


@dataclass(frozen=True, slots=True)
class PatientsEntries(Extra):
    """How many more entries of a patient wait; refused if they would be more than allowed."""

    patient_id: str
    delta: int


def entry_extras(before: Entry | None, after: Entry) -> tuple[Extra, ...]:
    """All that is written for a change of an entry; what is counted changes with its being live.

    The entry comes first: if its guard and another are refused, its own is what is told.
    """
    changed = EntryChanged(before, after)
    was_live = before is not None and before.status.is_live
    delta = int(after.status.is_live) - int(was_live)
    if not delta:
        return (changed,)
    return (
        changed,
        QueuePlace(after),
        DoctorsQueue(after.doctor_id, delta),
        PatientsEntries(after.patient_id, delta),
    )
