"""The writes of one change, built as one TransactWriteItems; the guards are in the writes.

Nothing has to be read before a booking: every needed bucket must be free in the very write that
takes it. Only a move within one day reads that day first, since DynamoDB doesn't take ADD and
DELETE of one set in one update: it replaces the set it has read by the set it wants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.buckets import FREE, Claims, buckets_in
from appointments_service.domain.tallies import TallyKey
from appointments_service.errors import PatientBusyError, SlotTakenError
from appointments_service.store import IdempotencyRecord, Write
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.items import DayState, Item

Kind = Literal["record", "schedule", "appointment", "doctor", "patient", "tally"]


@dataclass(frozen=True, slots=True)
class Part:
    """One action of a transaction; `kind` tells what it means if just this one is refused.

    `replaces` marks a set replaced as it was read: refused, it must be read again.
    """

    kind: Kind
    action: Item
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class DayChange:
    """What a change gives back and takes of one UTC day of one calendar."""

    kind: Literal["doctor", "patient"]
    partition: str
    day: int
    give: int
    take: int

    @property
    def needs_reading(self) -> bool:
        """Whether the day must be read before it can be written."""
        return bool(self.give and self.take)


def day_changes(write: Write) -> list[DayChange]:
    """All days that a change touches, the doctor's first."""
    before, after = write.before, write.after
    doctor = items.doctor_partition(after.doctor_id)
    patient = items.patient_partition(after.patient_id)
    return [
        *_days("doctor", doctor, before.doctor_claims if before else FREE, after.doctor_claims),
        *_days("patient", patient, before.patient_claims if before else FREE, after.patient_claims),
    ]


def _days(
    kind: Literal["doctor", "patient"], partition: str, old: Claims, new: Claims
) -> list[DayChange]:
    return [
        DayChange(kind, partition, day, old.get(day, 0), new.get(day, 0))
        for day in sorted({*old, *new})
        if old.get(day) != new.get(day)
    ]


_NAMES = {"#over": "over"}  # a reserved word


@lru_cache(maxsize=512)
def _all_free(count: int, alone: bool) -> str:
    """The condition that `count` buckets, `:0` and on, are free.

    A missing item or attribute counts as free. `alone` looks at `over` only, where the whole of
    `busy` is compared already. One NOT for all: DynamoDB takes at most 300 operators and functions
    in an expression, and the longest slot with its buffers has 72 buckets (here 288 of them).
    """
    sets = ("#over",) if alone else ("busy", "#over")
    return f"NOT ({' OR '.join(f'contains({name},:{n})' for n in range(count) for name in sets)})"


def _bucket_values(mask: int) -> Item:
    return {f":{n}": {"N": items.bucket_text(bucket)} for n, bucket in enumerate(buckets_in(mask))}


def day_part(table: str, change: DayChange, state: DayState | None) -> Part:
    """The update of one calendar day.

    Args:
        state: what the day holds, where it had to be read.

    Raises:
        SlotTakenError, PatientBusyError: what was read shows that the time is another's.
    """
    update: Item = {
        "TableName": table,
        "Key": items.key(change.partition, items.day_key(change.day)),
    }
    if not change.take:
        update["UpdateExpression"] = "DELETE busy :mine"
        update["ExpressionAttributeValues"] = {":mine": items.number_set(change.give)}
        return Part(change.kind, {"Update": update})
    values = _bucket_values(change.take)
    if not change.give:
        update["UpdateExpression"] = "ADD busy :mine"
        update["ConditionExpression"] = _all_free(len(values), False)
        update["ExpressionAttributeNames"] = _NAMES
        update["ExpressionAttributeValues"] = {":mine": items.number_set(change.take), **values}
        return Part(change.kind, {"Update": update})
    if state is None:
        raise ValueError("a day that is both given and taken must have been read")
    others = state.busy & ~change.give
    if (others | state.over) & change.take:
        raise SlotTakenError if change.kind == "doctor" else PatientBusyError
    update["UpdateExpression"] = "SET busy = :after"
    update["ConditionExpression"] = f"busy = :before AND {_all_free(len(values), True)}"
    update["ExpressionAttributeNames"] = _NAMES
    update["ExpressionAttributeValues"] = {
        ":before": items.number_set(state.busy),
        ":after": items.number_set(others | change.take),
        **values,
    }
    return Part(change.kind, {"Update": update}, replaces=True)


def appointment_part(table: str, before: Appointment | None, after: Appointment) -> Part:
    """The appointment itself: new, or in the place of the version that was read."""
    put: Item = {"TableName": table, "Item": items.appointment_item(after)}
    if before is None:
        put["ConditionExpression"] = "attribute_not_exists(user_id)"
    else:
        put["ConditionExpression"] = "version = :version"
        put["ExpressionAttributeValues"] = {":version": {"N": str(before.version)}}
    return Part("appointment", {"Put": put})


def tally_part(table: str, tally: TallyKey, sums: Mapping[str, int]) -> Part:
    """What a change adds to one tally. The sums' names are ours, none is a reserved word."""
    day = tally.day.isoformat()
    added = ", ".join(f"{name} :{name}" for name in sums)
    values: Item = {f":{name}": {"N": str(delta)} for name, delta in sums.items()}
    update: Item = {
        "TableName": table,
        "Key": items.key(items.doctor_partition(tally.doctor_id), f"tally#{day}"),
        "UpdateExpression": f"SET tally_date = :day ADD {added}",
        "ExpressionAttributeValues": {":day": {"S": day}, **values},
    }
    return Part("tally", {"Update": update})


def record_part(table: str, record: IdempotencyRecord) -> Part:
    """The stored answer, if there is none or only one that has lapsed: TTL deletes late."""
    put: Item = {
        "TableName": table,
        "Item": items.record_item(record),
        "ConditionExpression": "attribute_not_exists(user_id) OR expires_at <= :now",
        "ExpressionAttributeValues": {":now": {"N": str(int(record.now.timestamp()))}},
    }
    return Part("record", {"Put": put})


def schedule_part(table: str, doctor_id: str, version: int) -> Part:
    """The check that the hours are still those that the time was checked against."""
    check: Item = {
        "TableName": table,
        "Key": items.key(items.doctor_partition(doctor_id), items.SCHEDULE_KEY),
        "ConditionExpression": "version = :version",
        "ExpressionAttributeValues": {":version": {"N": str(version)}},
    }
    return Part("schedule", {"ConditionCheck": check})


def parts_of(table: str, write: Write, days: Mapping[tuple[str, int], DayState]) -> list[Part]:
    """One change as the actions of one transaction.

    Args:
        days: (partition, UTC day) → what it holds, for the days that had to be read.
    """
    parts = [
        day_part(table, change, days.get((change.partition, change.day)))
        for change in day_changes(write)
    ]
    parts.append(appointment_part(table, write.before, write.after))
    parts += [tally_part(table, tally, sums) for tally, sums in write.tallies.items() if sums]
    if write.record is not None:
        parts.append(record_part(table, write.record))
    if write.schedule_version is not None:
        parts.append(schedule_part(table, write.after.doctor_id, write.schedule_version))
    return parts
