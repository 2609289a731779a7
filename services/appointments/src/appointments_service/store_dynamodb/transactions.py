"""The writes of one change, built as one TransactWriteItems; the guards are in the writes.

Nothing has to be read before a booking: every needed bucket must be free in the very write that
takes it. Only a move within one day reads that day first, since DynamoDB doesn't take ADD and
DELETE of one set in one update: it replaces the set it has read by the set it wants.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import Final, Literal

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.buckets import buckets_in
from appointments_service.domain.tallies import TallyKey
from appointments_service.errors import PatientBusyError, SlotTakenError
from appointments_service.store import Extra, Holder, IdempotencyRecord, Write
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.items import DayState, Item

Kind = Literal["record", "schedule", "appointment", "extra", "doctor", "patient", "tally"]

MAX_ACTIONS: Final = 100
"""What DynamoDB takes in one transaction. A series of twelve needs at most 74."""


@dataclass(frozen=True, slots=True)
class Part:
    """One action of a transaction; `kind` tells what it means if just this one is refused.

    `replaces` marks a set replaced as it was read: refused, it must be read again. `extra` is
    what an action of this kind writes.
    """

    kind: Kind
    action: Item
    replaces: bool = False
    extra: Extra | None = None


@dataclass(slots=True)
class DayChange:
    """What a change gives back and takes of one UTC day of one calendar, as bucket masks.

    What overrides hold is kept in a set of its own, `over`: they lie over what is in `busy`, never
    over each other, and nothing else may be booked over them.
    """

    kind: Literal["doctor", "patient"]
    partition: str
    day: int
    give: int = 0
    take: int = 0
    give_over: int = 0
    take_over: int = 0

    @property
    def needs_reading(self) -> bool:
        """Whether the day must be read before it can be written."""
        return bool(self.give and self.take)

    @property
    def changes_nothing(self) -> bool:
        """Whether the same buckets only pass from one holder to another."""
        return self.give == self.take and self.give_over == self.take_over

    def excluded_by(self, state: DayState) -> bool:
        """Whether others hold what is to be taken."""
        over = state.over & ~self.give_over
        busy = state.busy & ~self.give
        return bool(self.take & (busy | over) or self.take_over & over)


def day_changes(write: Write) -> list[DayChange]:
    """All days that a change touches, the doctor's first."""
    days: dict[tuple[str, int], DayChange] = {}
    for holder in _given(write):
        for change, mask in _held(days, holder):
            if holder.override:
                change.give_over |= mask
            else:
                change.give |= mask
    for holder in _taken(write):
        for change, mask in _held(days, holder):
            if mask & (change.take_over if holder.override else change.take):
                raise ValueError("two of one change claim the same time")
            if holder.override:
                change.take_over |= mask
            else:
                change.take |= mask
    # "doctor" comes before "patient", in partitions too.
    return [days[key] for key in sorted(days) if not days[key].changes_nothing]


def _given(write: Write) -> Iterator[Holder]:
    for changed in write.changes:
        if changed.before is not None:
            yield changed.before
    for extra in write.extras:
        if extra.gives is not None:
            yield extra.gives


def _taken(write: Write) -> Iterator[Holder]:
    for changed in write.changes:
        yield changed.after
    for extra in write.extras:
        if extra.takes is not None:
            yield extra.takes


def _held(
    days: dict[tuple[str, int], DayChange], holder: Holder
) -> Iterator[tuple[DayChange, int]]:
    doctor = items.doctor_partition(holder.doctor_id)
    for day, mask in holder.doctor_claims.items():
        yield days.setdefault((doctor, day), DayChange("doctor", doctor, day)), mask
    patient = items.patient_partition(holder.patient_id)
    for day, mask in holder.patient_claims.items():
        yield days.setdefault((patient, day), DayChange("patient", patient, day)), mask


_NAMES = {"#over": "over"}  # a reserved word


@lru_cache(maxsize=512)
def _all_free(busy: int, over: int) -> str:
    """The condition that buckets are free: bit n stands for `:n`, for each of the two sets.

    A missing item or attribute counts as free. One NOT for all: DynamoDB takes at most 300
    operators and functions in an expression, and the longest slot with its buffers has 72 buckets
    (here 288 of them).
    """
    sets = (("busy", busy), ("#over", over))
    terms = [f"contains({name},:{n})" for name, mask in sets for n in buckets_in(mask)]
    return f"NOT ({' OR '.join(terms)})" if terms else ""


def _free_condition(change: DayChange, values: Item) -> str:
    """The condition that what is taken is free, but for what the change itself gives back.

    Where a set is replaced by what was read of it, that comparison is the condition on it.
    """
    busy = over = 0
    for n, bucket in enumerate(buckets_in(change.take | change.take_over)):
        values[f":{n}"] = {"N": items.bucket_text(bucket)}
        if change.take >> bucket & 1 and not change.give:
            busy |= 1 << n
        if not change.give_over >> bucket & 1:
            over |= 1 << n
    return _all_free(busy, over)


def day_part(table: str, change: DayChange, state: DayState | None) -> Part:
    """The update of one calendar day.

    Args:
        state: what the day holds, where it had to be read.

    Raises:
        SlotTakenError, PatientBusyError: what was read shows that the time is another's.
    """
    if change.give_over and change.take_over:
        raise ValueError("an override doesn't become another one")
    values: Item = {}
    conditions = []
    clauses = _clauses(change, values)
    if change.needs_reading:
        if state is None:
            raise ValueError("a day that is both given and taken must have been read")
        if change.excluded_by(state):
            raise SlotTakenError if change.kind == "doctor" else PatientBusyError
        clauses.insert(0, "SET busy = :after")
        conditions.append("busy = :before")
        values[":before"] = items.number_set(state.busy)
        values[":after"] = items.number_set(state.busy & ~change.give | change.take)
    free = _free_condition(change, values)
    if free:
        conditions.append(free)
    update: Item = {
        "TableName": table,
        "Key": items.key(change.partition, items.day_key(change.day)),
        "UpdateExpression": " ".join(clauses),
        "ExpressionAttributeValues": values,
    }
    if conditions:
        update["ConditionExpression"] = " AND ".join(conditions)
    if free or change.give_over:
        update["ExpressionAttributeNames"] = _NAMES
    return Part(change.kind, {"Update": update}, replaces=change.needs_reading)


def _clauses(change: DayChange, values: Item) -> list[str]:
    """What is added to the sets and deleted from them, but for a set that is replaced."""
    clauses = []
    whole = change.needs_reading
    for verb, busy, over in (
        ("ADD", 0 if whole else change.take, change.take_over),
        ("DELETE", 0 if whole else change.give, change.give_over),
    ):
        actions = []
        for name, value, mask in (("busy", ":busy", busy), ("#over", ":over", over)):
            if mask:  # no set is in both clauses, nor is its value
                values[value] = items.number_set(mask)
                actions.append(f"{name} {value}")
        if actions:
            clauses.append(f"{verb} {', '.join(actions)}")
    return clauses


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


@singledispatch
def extra_action(extra: Extra, table: str) -> Item:
    """The action that writes what goes along with a change; each kind registers its own."""
    raise TypeError(f"nobody has said how a {type(extra).__name__} is written in {table}")


def parts_of(table: str, write: Write, days: Mapping[tuple[str, int], DayState]) -> list[Part]:
    """One change as the actions of one transaction.

    Args:
        days: (partition, UTC day) → what it holds, for the days that had to be read.

    Raises:
        ValueError: more than a transaction takes.
    """
    parts = [
        day_part(table, change, days.get((change.partition, change.day)))
        for change in day_changes(write)
    ]
    parts += [appointment_part(table, one.before, one.after) for one in write.changes]
    parts += [tally_part(table, tally, sums) for tally, sums in write.tallies.items() if sums]
    parts += [Part("extra", extra_action(one, table), extra=one) for one in write.extras]
    if write.record is not None:
        parts.append(record_part(table, write.record))
    if write.schedule_version is not None:
        parts.append(schedule_part(table, write.doctor_id, write.schedule_version))
    if len(parts) > MAX_ACTIONS:
        raise ValueError(f"{len(parts)} actions in one transaction")
    return parts
