"""The port to the outbox: notices that are written with what they tell of, and sent later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.notices import Notice
from appointments_service.store import Extra


@dataclass(frozen=True, slots=True)
class Posting(Extra):
    """A notice, written in the transaction of the change that it tells of."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Entry:
    """A notice in the outbox, unread: what is wrong with one concerns no other.

    Attributes:
        place: where it lies; another with every try.
        due_at: when it was to be sent.
        next_try_at: from when on somebody may take it.
        attempts: how often somebody has.
        text: the notice, for `read_notice`.
    """

    place: tuple[str, str]
    due_at: datetime
    next_try_at: datetime
    attempts: int
    text: str


class OutboxStore(Protocol):
    """What sending needs of the store. Every method may raise StoreUnavailableError."""

    async def read_outbox(self, until: datetime) -> list[Entry]:
        """The first entries whose next try is until then: so many at most that it's a few calls."""

    async def postpone(self, entry: Entry, until: datetime, attempts: int) -> Entry | None:
        """Moves an entry's next try, which is how it is taken; None if it isn't there any more."""

    async def settle(self, entry: Entry, following: Sequence[Notice]) -> bool:
        """Takes an entry out and puts in what follows on it; False if it isn't there any more."""

    async def read_appointments(self, patient_id: str, keys: Sequence[str]) -> list[Appointment]:
        """Those of a patient's appointments that there are, consistently."""
