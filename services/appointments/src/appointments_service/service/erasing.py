"""The use cases of erasure: which appointments a patient has, and taking the person out of them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from appointments_service.domain.appointments import Actor, Appointment, erased
from appointments_service.store import AppointmentStore

APPOINTMENTS_A_CALL: Final = 25
ANSWERS_A_CALL: Final = 100

# The table deletes what has lapsed by itself, but within days (a stored answer is kept for one).
_ANSWERS_LINGER: Final = timedelta(days=7)


class Erasing:
    """What users asks for once an account is closed. Every call may be repeated."""

    def __init__(self, store: AppointmentStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def appointment_ids(self, patient_id: str, after: str, limit: int) -> list[str]:
        """A page of the ids of a patient's appointments, behind the one with the key `after`."""
        keys = await self._store.keys_of_patient(patient_id, after, limit)
        return [patient_id + key for key in keys]

    async def erase(self, actor: Actor, patient_id: str) -> bool:
        """Takes a patient out of some of its appointments, and out of what was answered of them.

        Names, reasons and notes go; times, statuses and ids stay, since they are the clinic's
        record. Stored answers go first: who changes an appointment in between, and so leaves
        another answer, keeps it from being replaced, and it is met again in the next call. The
        calendar feed goes before all: it shows what the others still have to lose.

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
        return more or len(found) == APPOINTMENTS_A_CALL


def _others(patient_id: str, found: list[Appointment], since: datetime) -> set[str]:
    """Who else changed the appointments lately, and so may have a stored answer about them."""
    changes = (change for appointment in found for change in appointment.history)
    return {change.actor_id for change in changes if change.at > since} - {patient_id}
