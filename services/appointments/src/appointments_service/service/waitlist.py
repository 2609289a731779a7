"""Use cases of those who wait: join the list, look, leave it, and accept what is offered."""

from collections.abc import Callable
from datetime import date, datetime

from appointments_service.domain.appointments import Actor, Appointment, booked, keys_of
from appointments_service.domain.availability import Hours
from appointments_service.domain.waitlist import Entry, WaitStatus, ended, joined, offered_slot
from appointments_service.errors import (
    DoctorUnavailableError,
    InvalidFieldError,
    NotFoundError,
    OfferExpiredError,
    StoreUnavailableError,
    TooManyEntriesError,
    VersionMismatchError,
)
from appointments_service.service.answers import Answers, Done, Idempotency, Made
from appointments_service.service.changes import Changes
from appointments_service.service.filling import ACCEPTED, WITHDRAWN, Filling
from appointments_service.service.hours import ATTEMPTS, HoursCache
from appointments_service.service.parties import Parties
from appointments_service.service.schedules import DETAILS
from appointments_service.store import (
    Changed,
    ExtraRefusedError,
    IdempotencyRecord,
    ScheduleChangedError,
    Write,
)
from appointments_service.store_waitlist import MOST_ENTRIES, PatientsEntries, entry_extras


class Waitlist:
    """What patients may do with the waiting list.

    Args:
        new_key: makes the key of a new entry or appointment.
        filling: what makes the offers; told where there may be one to make.
        offers: told what has become of an offer: one of filling's RESULTS.
    """

    def __init__(
        self,
        changes: Changes,
        answers: Answers,
        parties: Parties,
        hours: HoursCache,
        new_key: Callable[[datetime], str],
        filling: Filling,
        offers: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._changes = changes
        self._store = changes.store
        self._answers = answers
        self._parties = parties
        self._hours = hours
        self._new_key = new_key
        self._filling = filling
        self._offers = offers

    async def join(
        self,
        actor: Actor,
        *,
        doctor_id: str,
        first: date,
        last: date,
        idempotency: Idempotency[Entry] | None,
    ) -> Done[Entry]:
        """Begins to wait for a time of a doctor on these dates, both included.

        Raises:
            InvalidFieldError: reversed dates, or none on which anything could be booked.
            UnknownDoctorError, DoctorUnavailableError: nothing could be offered.
            TooManyEntriesError: `MOST_ENTRIES` of the patient's are live.
        """
        if first > last:
            raise InvalidFieldError(("body", "to"), "is before from")

        async def attempt() -> tuple[Entry, ...]:
            await self._parties.of(actor, doctor_id, None)
            hours = await self._hours_of(doctor_id)
            now = self._changes.clock()
            entry = joined(
                self._new_key(now),
                patient_id=actor.id,
                doctor_id=doctor_id,
                first=first,
                last=last,
                now=now,
            )
            if entry.is_over(hours, now):
                raise InvalidFieldError(("body", "to"), "nothing up to then can be booked any more")
            await self._write_new(entry, idempotency.record((entry,)) if idempotency else None)
            self._filling.poke(doctor_id, is_waited_for=True)
            return (entry,)

        return await self._answers.once(attempt, idempotency)

    async def entries(self, actor: Actor, after: str, limit: int) -> list[Entry]:
        """A page of the caller's own entries, oldest first."""
        return await self._store.list_entries(actor.id, after, limit)

    async def leave(self, actor: Actor, entry_id: str, if_match: frozenset[int] | None) -> None:
        """Ends an entry; what was offered to it goes to the next. Again, it changes nothing.

        Raises:
            WrongStatusError: it has been booked, or has expired.
        """
        for _ in range(ATTEMPTS):
            before = await self._find(actor, entry_id, if_match)
            if before.status is WaitStatus.CANCELLED:
                return
            after = ended(before, WaitStatus.CANCELLED, self._changes.clock())
            try:
                await self._store.write(
                    Write(before.doctor_id, (), None, {}, None, entry_extras(before, after))
                )
            except ExtraRefusedError:
                continue
            if before.offer is not None:
                self._offers(WITHDRAWN)
                self._filling.poke(before.doctor_id)
            return
        raise StoreUnavailableError("the entry is being changed by others")

    async def accept(
        self,
        actor: Actor,
        entry_id: str,
        if_match: frozenset[int] | None,
        idempotency: Idempotency[Appointment] | None,
    ) -> Done[Appointment]:
        """Books what is offered to an entry.

        Raises:
            OfferExpiredError: nothing is, any more.
            DoctorUnavailableError, PatientBusyError: as booking does.
        """

        async def attempt() -> Made:
            fresh = False
            for _ in range(ATTEMPTS):
                before = await self._find(actor, entry_id, if_match)
                if before.offer is None or before.has_lapsed(self._changes.clock()):
                    raise OfferExpiredError("no time is held for this entry")
                hours = await self._hours_of(before.doctor_id, fresh=fresh)
                try:
                    return await self._take(actor, before, hours, idempotency)
                except OfferExpiredError:
                    if fresh:
                        raise
                    fresh = True
                except ScheduleChangedError:
                    fresh = True
                except ExtraRefusedError:
                    continue
            raise StoreUnavailableError("the offer is being changed by others")

        return await self._answers.once(attempt, idempotency)

    async def _take(
        self,
        actor: Actor,
        before: Entry,
        hours: Hours,
        idempotency: Idempotency[Appointment] | None,
    ) -> Made:
        """Writes the appointment in the offer's place: all of it, or nothing."""
        now = self._changes.clock()
        slot = offered_slot(before.offer, hours, now) if before.offer is not None else None
        if slot is None:
            raise OfferExpiredError("the time that was held is none of the doctor's any more")
        patient, doctor = await self._parties.of(actor, before.doctor_id, None)
        made = booked(
            self._new_key(now),
            slot,
            patient=patient,
            doctor=doctor,
            timezone=hours.schedule.timezone,
            reason=None,
            actor=actor,
            now=now,
        )
        await self._changes.write(
            "booked",
            Changed(None, made),
            schedule_version=hours.schedule.version,
            idempotency=idempotency,
            extras=entry_extras(before, ended(before, WaitStatus.BOOKED, now)),
        )
        self._offers(ACCEPTED)
        return (made,)

    async def _find(self, actor: Actor, entry_id: str, if_match: frozenset[int] | None) -> Entry:
        """One of the caller's own. Raises NotFoundError, VersionMismatchError."""
        keys = keys_of(entry_id)
        own = keys is not None and keys[0] == actor.id
        found = await self._store.read_entry(*keys) if keys is not None and own else None
        if found is None:
            raise NotFoundError
        if if_match is not None and found.version not in if_match:
            raise VersionMismatchError("the entry is in another version")
        return found

    async def _write_new(self, entry: Entry, record: IdempotencyRecord | None) -> None:
        try:
            await self._store.write(
                Write(entry.doctor_id, (), None, {}, record, entry_extras(None, entry))
            )
        except ExtraRefusedError as refused:
            if isinstance(refused.extra, PatientsEntries):
                raise TooManyEntriesError(
                    f"{MOST_ENTRIES} of the patient's entries wait already"
                ) from None
            # Nobody else makes this key: it was written by an attempt whose answer was lost.

    async def _hours_of(self, doctor_id: str, *, fresh: bool = False) -> Hours:
        hours = None if fresh else self._hours.known(doctor_id)
        hours = hours or await self._hours.read(doctor_id)
        if hours is None:
            raise DoctorUnavailableError(DETAILS["doctor_unavailable"])
        return hours
