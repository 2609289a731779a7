"""Changes of appointments, as every use case writes them: with their tallies, answer and count."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import Actor, Appointment, Status, keys_of
from appointments_service.domain.notices import notice_of
from appointments_service.domain.tallies import difference, total
from appointments_service.errors import NotFoundError, VersionMismatchError
from appointments_service.outbox import Posting
from appointments_service.service.answers import Idempotency
from appointments_service.store import AppointmentStore, Changed, Extra, Write

CHANGES = (
    "booked",
    "overridden",
    "moved",
    *(status.value for status in Status if status is not Status.BOOKED),
)
"""What can become of an appointment, as it is counted; `overridden` is booked by an override."""


class Changes:
    """Finds appointments for their callers, and writes what becomes of them.

    Args:
        clinic: the zone whose dates the tallies are kept by.
        changed: told of each change that was made, once: one of CHANGES.
        freed: told of a doctor who has got time back.
        posted: told that a notice was written; None where patients are told nothing.
    """

    def __init__(
        self,
        store: AppointmentStore,
        clock: Callable[[], datetime],
        clinic: ZoneInfo,
        changed: Callable[[str], None] = lambda _: None,
        freed: Callable[[str], None] = lambda _: None,
        posted: Callable[[], None] | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self._clinic = clinic
        self._changed = changed
        self._freed = freed
        self._posted = posted

    async def find(
        self, actor: Actor, appointment_id: str, if_match: frozenset[int] | None = None
    ) -> Appointment:
        """One appointment.

        Raises:
            NotFoundError: there is none, or none that the caller may know of.
            VersionMismatchError: it isn't in a version that the caller named.
        """
        keys = keys_of(appointment_id)
        found = await self.store.read_appointment(*keys) if keys is not None else None
        if found is None or not found.visible_to(actor):
            raise NotFoundError
        if if_match is not None and found.version not in if_match:
            raise VersionMismatchError("the appointment is in another version")
        return found

    async def write(
        self,
        what: str,
        *changes: Changed,
        schedule_version: int | None = None,
        idempotency: Idempotency[Appointment] | None = None,
        extras: tuple[Extra, ...] = (),
    ) -> None:
        """Writes changes of one doctor's appointments, all or none. Raises as the store does.

        Args:
            what: which of CHANGES it is.
            schedule_version: the version of the hours that taken times were checked against.
            extras: what is written along.
        """
        doctor_id = changes[0].after.doctor_id
        afters = tuple(one.after for one in changes)
        notice = None if self._posted is None else notice_of(what, afters, self.clock())
        differences = [difference(one.before, one.after, self._clinic) for one in changes]
        await self.store.write(
            Write(
                doctor_id=doctor_id,
                changes=changes,
                schedule_version=schedule_version,
                tallies=differences[0] if len(changes) == 1 else total(differences),
                record=idempotency.record(afters) if idempotency else None,
                extras=(*extras, *((Posting(notice),) if notice is not None else ())),
            )
        )
        for _ in changes:
            self._changed(what)
        if any(
            one.before and one.before.doctor_claims != one.after.doctor_claims for one in changes
        ):
            self._freed(doctor_id)
        if notice is not None and self._posted is not None:
            self._posted()
