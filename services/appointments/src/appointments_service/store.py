"""The port to whatever keeps schedules, calendars, appointments and tallies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from appointments_service.domain.appointments import Appointment, Status
from appointments_service.domain.buckets import Claims
from appointments_service.domain.feeds import Feed
from appointments_service.domain.schedules import Override, Schedule
from appointments_service.domain.tallies import TallyKey
from appointments_service.domain.waitlist import Entry
from appointments_service.store_auditing import AuditStore


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The first answer to a request with an idempotency key, to be given again byte for byte.

    Attributes:
        version: of what it shows, None where that is more than one thing.
    """

    status: int
    body: bytes
    version: int | None
    request_hash: str


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """An answer to be stored with the change that it tells of, in the same transaction.

    Attributes:
        caller_id: whose key it is.
        key: over the method, the path and the caller's key.
        expires_at: until when it is given again.
    """

    caller_id: str
    key: str
    answer: StoredAnswer
    now: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CalendarView:
    """What is busy, and the schedule in force, read consistently in one go."""

    schedule: Schedule | None
    doctor_busy: Claims
    patient_busy: Claims


class Holder(Protocol):
    """Whatever holds time of a doctor and a patient: an appointment, or an offer of its time."""

    @property
    def doctor_id(self) -> str:
        """Whose calendar the doctor's claims are on."""

    @property
    def patient_id(self) -> str:
        """Whose calendar the patient's claims are on."""

    @property
    def doctor_claims(self) -> Claims:
        """The doctor's buckets, with the buffers."""

    @property
    def patient_claims(self) -> Claims:
        """The patient's buckets."""

    @property
    def override(self) -> bool:
        """Whether the claims may lie over others', and so are kept apart from them."""


class Extra:
    """What else changes with appointments, in the same transaction.

    Each kind is a small frozen dataclass of its own. How the store writes it is registered with
    the store (`extra_action` of `store_dynamodb`). Its guard, if it has one, is in that action:
    refused, the whole write is, with ExtraRefusedError.
    """

    __slots__ = ()

    @property
    def gives(self) -> Holder | None:
        """Whose time it gives back, if it did hold some."""
        return None

    @property
    def takes(self) -> Holder | None:
        """Whose time it takes, if it is to hold some."""
        return None


@dataclass(frozen=True, slots=True)
class Changed:
    """What becomes of one appointment.

    Attributes:
        before: as it was read, None for a new one; the write fails if it has changed since.
    """

    before: Appointment | None
    after: Appointment


@dataclass(frozen=True, slots=True)
class Write:
    """One change of appointments of one doctor, to happen entirely or not at all.

    Attributes:
        doctor_id: whose schedule and calendar it is about.
        changes: one appointment's, or those of several (a series).
        schedule_version: the version that the times were checked against; None where no time is
            taken, so that hours don't matter.
        tallies: what to add to which sums.
        extras: what else is written along.
    """

    doctor_id: str
    changes: tuple[Changed, ...]
    schedule_version: int | None
    tallies: Mapping[TallyKey, Mapping[str, int]]
    record: IdempotencyRecord | None
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which appointments of one patient or one doctor: a span of starts, and filters.

    Attributes:
        since: from this start on, None for the beginning.
        until: up to and without this start, None for no end.
    """

    patient_id: str | None = None
    doctor_id: str | None = None
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None


Position = Sequence[str]
"""Where a page ended: the start, the patient's id and the key of its last appointment."""


class AnsweredBeforeError(Exception):
    """The write's idempotency key has an answer already: this one."""

    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__("the key has an answer")
        self.answer = answer


class ScheduleChangedError(Exception):
    """The schedule isn't in the version any more that the time was checked against."""


class AppointmentChangedError(Exception):
    """The appointment isn't any more as it was read."""


class ExtraRefusedError(Exception):
    """What was to be written along isn't as it was read: this one."""

    def __init__(self, extra: Extra) -> None:
        super().__init__("the guard of what was to be written along has refused")
        self.extra = extra


class AppointmentStore(AuditStore, Protocol):
    """What the use cases need. Every method may raise StoreUnavailableError."""

    async def read_schedule(self, doctor_id: str) -> Schedule | None:
        """The schedule in force, consistently."""

    async def read_overrides(
        self, doctor_id: str, first: date | None, last: date | None
    ) -> list[Override]:
        """The overrides from `first` to `last`, both included, in order."""

    async def write_schedule(self, schedule: Schedule, former: Schedule | None) -> None:
        """Puts a schedule in force and keeps the former one. Raises ScheduleChangedError."""

    async def write_override(
        self, schedule: Schedule, former: Schedule, day: date, override: Override | None
    ) -> None:
        """Sets or (None) removes the override of a date together with the schedule's new version.

        Raises ScheduleChangedError.
        """

    async def read_calendar(
        self,
        doctor_id: str,
        doctor_days: Sequence[int],
        patient_id: str | None,
        patient_days: Sequence[int],
    ) -> CalendarView:
        """The schedule and what is busy on the given UTC days."""

    async def read_calendars(
        self, days: Mapping[str, Sequence[int]], patient_id: str | None, patient_days: Sequence[int]
    ) -> Mapping[str, CalendarView]:
        """The schedules of doctors and what is busy on UTC days, each doctor's own."""

    async def read_overrides_on(self, dates: Mapping[str, Sequence[date]]) -> list[Override]:
        """The overrides that doctors have on dates, each doctor's own."""

    async def read_appointment(self, patient_id: str, key: str) -> Appointment | None:
        """One appointment, consistently."""

    async def read_series(
        self, patient_id: str, series_id: str, since: datetime
    ) -> list[Appointment]:
        """The appointments of a series that start from `since` on, consistently, in order."""

    async def read_answer(self, caller_id: str, key: str, now: datetime) -> StoredAnswer | None:
        """The answer stored under an idempotency key, if it is still good."""

    async def write(self, write: Write) -> None:
        """One change with all that belongs to it, in one transaction, retried on conflicts.

        Raises:
            AnsweredBeforeError, ScheduleChangedError, AppointmentChangedError,
            ExtraRefusedError: see there.
            SlotTakenError, PatientBusyError: a time is another's.
        """

    async def list_appointments(
        self, selection: Selection, limit: int, after: Position | None
    ) -> tuple[list[Appointment], Position | None]:
        """A page by start, and the position to go on from, if there is more.

        Raises BadPositionError where no page of this selection ended at `after`.
        """

    async def read_entry(self, patient_id: str, key: str) -> Entry | None:
        """One entry of the waiting list, consistently."""

    async def list_entries(self, patient_id: str, after: str, limit: int) -> list[Entry]:
        """A page of a patient's entries, oldest first, consistently.

        Args:
            after: the key of the last one of the page before; empty for the first page.
        """

    async def read_queue(self, doctor_id: str) -> list[Entry]:
        """The live entries of those that wait for a doctor, first come first, consistently."""

    async def read_waited_for(self) -> Mapping[str, int]:
        """The doctors that anybody waits for, and how many entries that are."""

    async def forget_entry(self, entry: Entry) -> bool:
        """Deletes an entry that has ended; False if it isn't as it was read any more, or is being
        changed by others.
        """

    async def keys_of_patient(self, patient_id: str, after: str, limit: int) -> list[str]:
        """A page of the keys of a patient's appointments, consistently and in their order, which
        no change of an appointment changes; `after` is exclusive.
        """

    async def personal_appointments(self, patient_id: str, limit: int) -> list[Appointment]:
        """Some of a patient's appointments that are personal yet, consistently."""

    async def replace(self, before: Appointment, after: Appointment) -> bool:
        """Replaces an appointment whose claims and tallies stay; False if it isn't `before` any
        more, or is being changed by others.
        """

    async def forget_answers(self, caller_id: str, limit: int) -> bool:
        """Deletes so many of a caller's stored answers; whether there may be more."""

    async def forget_answers_about(self, caller_id: str, patient_id: str) -> None:
        """Deletes a caller's stored answers that tell of a patient."""

    async def read_feed(self, digest: str) -> Feed | None:
        """The calendar feed whose secret has this digest, consistently."""

    async def replace_feed(self, feed: Feed) -> None:
        """Makes a feed its owner's only one."""

    async def remove_feed(self, owner_id: str) -> None:
        """Ends the owner's feed, if there is one."""

    async def ping(self) -> None:
        """Raises if the store is away."""
