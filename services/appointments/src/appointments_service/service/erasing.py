"""The use cases of erasure: which appointments a patient has, and taking the person out of them.

Of the waiting list nothing is the clinic's record, so what a patient waited for goes altogether.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from appointments_service.domain.appointments import Actor, Appointment, erased
from appointments_service.domain.waitlist import Entry, WaitStatus, ended
from appointments_service.store import AppointmentStore, ExtraRefusedError, Write
from appointments_service.store_waitlist import entry_extras

APPOINTMENTS_A_CALL: Final = 25
ANSWERS_A_CALL: Final = 100
ENTRIES_A_CALL: Final = 25

# The table deletes what has lapsed by itself, but within days (a stored answer is kept for one).
_ANSWERS_LINGER: Final = timedelta(days=7)


class Erasing:
    """What users asks for once an account is closed. Every call may be repeated.

    Args:
        freed: told of a doctor who has got time back.
    """

    def __init__(
        self,
        store: AppointmentStore,
        clock: Callable[[], datetime],
        freed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._freed = freed

    async def appointment_ids(self, patient_id: str, after: str, limit: int) -> list[str]:
        """A page of the ids of a patient's appointments, behind the one with the key `after`."""
        keys = await self._store.keys_of_patient(patient_id, after, limit)
        return [patient_id + key for key in keys]

    async def erase(self, actor: Actor, patient_id: str) -> bool:
        """Takes a patient out of some of its appointments, and out of what was answered of them.

        Names, reasons and notes go; times, statuses and ids stay, since they are the clinic's
        record. Entries of the waiting list go, and what is held for them is given back. Stored
        answers go first: who changes an appointment in between, and so leaves another answer, keeps
        it from being replaced, and it is met again in the next call. The calendar feed goes before
        all: it shows what the others still have to lose.

        Returns:
            Whether there may be more to do.
        """
        await self._store.remove_feed(patient_id)
        found = await self._store.personal_appointments(patient_id, APPOINTMENTS_A_CALL)
        now = self._clock()
        more = await self._store.forget_answers(patient_id, ANSWERS_A_CALL)
        for caller_id in sorted(_others(patient_id, found, now - _ANSWERS_LINGER)):
            await self._store.forget_answers_about(caller_id, patient_id)
        for before in found:
            after = erased(before, actor=actor, now=now)
            more |= not await self._store.replace(before, after)
        entries = await self._store.list_entries(patient_id, "", ENTRIES_A_CALL)
        for entry in entries:
            more |= not await self._forget(entry)
        return more or len(found) == APPOINTMENTS_A_CALL or len(entries) == ENTRIES_A_CALL

    async def _forget(self, entry: Entry) -> bool:
        """Takes an entry from the waiting list; False if somebody else is changing it."""
        if entry.status.is_live:
            before, entry = entry, ended(entry, WaitStatus.CANCELLED, self._clock())
            extras = entry_extras(before, entry)
            try:
                await self._store.write(Write(entry.doctor_id, (), None, {}, None, extras))
            except ExtraRefusedError:
                return False
            if before.offer is not None:
                self._freed(entry.doctor_id)
        return await self._store.forget_entry(entry)


def _others(patient_id: str, found: list[Appointment], since: datetime) -> set[str]:
    """Who else changed the appointments lately, and so may have a stored answer about them."""
    changes = (change for appointment in found for change in appointment.history)
    return {change.actor_id for change in changes if change.at > since} - {patient_id}
