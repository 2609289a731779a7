"""A change as one transaction: sent, judged, and sent again where that is what it takes."""

from collections.abc import Mapping
from typing import NoReturn

from appointments_service.errors import NotBookableError, PatientBusyError, SlotTakenError
from appointments_service.store import (
    AnsweredBeforeError,
    AppointmentChangedError,
    ExtraRefusedError,
    ScheduleChangedError,
    Write,
)
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import REFUSED, TRANSIENT, Patience, unexpected
from appointments_service.store_dynamodb.items import DayState
from appointments_service.store_dynamodb.reading import Reading
from appointments_service.store_dynamodb.transactions import (
    DayChange,
    Kind,
    Part,
    day_changes,
    parts_of,
)
from servicekit.aws import classify_codes

# What a cancelled transaction says first, if several of its parts were refused.
_WEIGHT: tuple[Kind, ...] = ("record", "schedule", "appointment", "extra", "doctor", "patient")


class Writing(Reading):
    """The part of `AppointmentStore` that changes appointments. It reads what it meets."""

    async def write(self, write: Write) -> None:
        """One change with all that belongs to it, in one transaction, retried on conflicts."""
        patience = Patience(retried=self._retried)
        changes = day_changes(write)
        replaced = [change for change in changes if change.needs_reading]
        while True:
            days = await self._read_days(replaced) if replaced else {}
            try:
                parts = parts_of(self._table, write, days)
            except NotBookableError:
                if await self._stands(write, patience.in_doubt):
                    raise
                return
            codes = await self._transact([part.action for part in parts], patience)
            if codes is None or await self._has_happened(write, parts, codes, patience.in_doubt):
                return
            await patience.pause(classify_codes(codes), unexpected(codes))
            await self._turn_away(write, changes, patience.in_doubt)

    async def _has_happened(
        self, write: Write, parts: list[Part], codes: list[str], in_doubt: bool
    ) -> bool:
        """Judges a cancelled transaction: raises what it means; False if it is to be tried again.

        True only if the change has taken effect all the same: by an attempt before this one whose
        answer was lost (`in_doubt`). Where there is a record, that is what tells of it.

        The order matters: a caller's own retry must be given its first answer, and never be told
        that the time is taken (by itself). What met a conflict may hide a refusal, so nothing that
        weighs less counts until that is known.
        """
        if not set(codes) & {REFUSED, *TRANSIENT}:
            raise unexpected(codes)
        judged = list(zip(parts, codes, strict=True))
        if in_doubt and write.record is None and write.changes:
            after = write.changes[0].after  # the others are as it is: all were written, or none
            refused = any(part.kind == "appointment" and code == REFUSED for part, code in judged)
            if refused:
                present = await self.read_appointment(after.patient_id, after.key)
                if present is not None and present.comes_of(after):
                    return True
        for kind in _WEIGHT:
            of_kind = [(part, code) for part, code in judged if part.kind == kind]
            failed = [part for part, code in of_kind if code == REFUSED]
            lasting = [part for part in failed if not part.replaces]
            if lasting:
                await self._refuse(write, lasting[0])
            if failed or any(code in TRANSIENT for _, code in of_kind):
                break
        return False

    async def _refuse(self, write: Write, part: Part) -> None:
        """Raises what it means that this part was refused; returns if nothing lasting."""
        if part.kind == "record":
            await self._raise_answer(write)
        elif part.kind == "schedule":
            raise ScheduleChangedError
        elif part.kind == "appointment":
            raise AppointmentChangedError
        elif part.extra is not None:
            raise ExtraRefusedError(part.extra)
        elif part.kind in ("doctor", "patient"):
            _raise_taken(part.kind)

    async def _raise_answer(self, write: Write) -> None:
        record = write.record
        if record is not None:
            answer = await self.read_answer(record.caller_id, record.key, record.now)
            if answer is not None:
                raise AnsweredBeforeError(answer)

    async def _turn_away(self, write: Write, changes: list[DayChange], in_doubt: bool) -> None:
        """After a conflict: a read tells a loser more cheaply than another transaction would."""
        taking = [change for change in changes if change.take or change.take_over]
        if not taking:
            return
        days = await self._read_days(taking)
        for change in taking:
            if change.excluded_by(days[change.partition, change.day]):
                if await self._stands(write, in_doubt):
                    _raise_taken(change.kind)
                return

    async def _stands(self, write: Write, in_doubt: bool) -> bool:
        """Whether a time that was read as taken, and not refused by a write, may be refused.

        Versions only grow: those that are still as they were, now that the days have been read,
        were so then. Raises what weighs more; False if the change has taken effect itself, by an
        attempt whose answer was lost (`in_doubt`).
        """
        await self._raise_answer(write)
        schedule = items.doctor_partition(write.doctor_id), items.SCHEDULE_KEY
        places = [(one.after.patient_id, one.after.key) for one in write.changes]
        found = {
            (item["user_id"]["S"], item["appointment_id"]["S"]): item
            for item in await self._get_many([items.key(*place) for place in (schedule, *places)])
        }
        versions = {place: int(item["version"]["N"]) for place, item in found.items()}
        for place, one in zip(places, write.changes, strict=True):
            present = found.get(place)
            kept = items.appointment_of(present) if in_doubt and present is not None else None
            if kept is not None and kept.comes_of(one.after):  # others may have changed it since
                return False
            if versions.get(place) != (one.before.version if one.before else None):
                raise AppointmentChangedError
        if write.schedule_version not in (None, versions.get(schedule)):
            raise ScheduleChangedError
        return True

    async def _read_days(self, changes: list[DayChange]) -> Mapping[tuple[str, int], DayState]:
        keys = [items.key(change.partition, items.day_key(change.day)) for change in changes]
        days = {(change.partition, change.day): DayState(0, 0) for change in changes}
        for item in await self._get_many(keys):
            days[item["user_id"]["S"], items.day_of(item)] = items.state_of(item)
        return days


def _raise_taken(kind: Kind) -> NoReturn:
    if kind == "doctor":
        raise SlotTakenError("another appointment of the doctor holds the time")
    raise PatientBusyError("another appointment of the patient holds the time")
