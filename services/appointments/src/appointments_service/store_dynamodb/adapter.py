"""The adapter: what the port asks for, in DynamoDB's calls."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.schedules import Override, Schedule
from appointments_service.errors import NotBookableError, PatientBusyError, SlotTakenError
from appointments_service.store import (
    AnsweredBeforeError,
    AppointmentChangedError,
    CalendarView,
    Position,
    ScheduleChangedError,
    Selection,
    StoredAnswer,
    Write,
)
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import Patience, cancellation_codes, persist
from appointments_service.store_dynamodb.erasures import Erasures
from appointments_service.store_dynamodb.items import DayState, Item
from appointments_service.store_dynamodb.queries import (
    FILTERED_READ,
    FIRST_DATE,
    LAST_DATE,
    selection_query,
    start_key,
)
from appointments_service.store_dynamodb.transactions import (
    DayChange,
    Kind,
    Part,
    day_changes,
    parts_of,
)
from servicekit.aws import classify_codes

BATCH_KEYS = 100
REFUSED = "ConditionalCheckFailed"
_TRANSIENT = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
# What a cancelled transaction says first, if several of its parts were refused.
_WEIGHT: tuple[Kind, ...] = ("record", "schedule", "appointment", "doctor", "patient")


class DynamoDBStore(Erasures):
    """`AppointmentStore` on one table."""

    async def ping(self) -> None:
        """Raises if the table can't be reached."""
        await self._client.describe_table(TableName=self._table)

    async def read_schedule(self, doctor_id: str) -> Schedule | None:
        """The schedule in force, consistently."""
        item = await self._get(items.doctor_partition(doctor_id), items.SCHEDULE_KEY)
        return items.schedule_of(item) if item is not None else None

    async def read_overrides(
        self, doctor_id: str, first: date | None, last: date | None
    ) -> list[Override]:
        """The overrides from `first` to `last`, both included, in order."""
        values = {
            ":u": {"S": items.doctor_partition(doctor_id)},
            ":a": {"S": f"override#{first.isoformat() if first else FIRST_DATE}"},
            ":b": {"S": f"override#{last.isoformat() if last else LAST_DATE}"},
        }
        rows = await self._query_all(
            KeyConditionExpression="user_id = :u AND appointment_id BETWEEN :a AND :b",
            ExpressionAttributeValues=values,
        )
        return [items.override_of(doctor_id, row) for row in rows]

    async def write_schedule(self, schedule: Schedule, former: Schedule | None) -> None:
        """Puts a schedule in force and keeps the former one. Raises ScheduleChangedError."""
        await self._write_schedule(schedule, former, [])

    async def write_override(
        self, schedule: Schedule, former: Schedule, day: date, override: Override | None
    ) -> None:
        """Sets or removes an override together with the schedule's new version."""
        if override is not None:
            action: Item = {
                "Put": {"TableName": self._table, "Item": items.override_item(override)}
            }
        else:
            where = items.key(items.doctor_partition(schedule.doctor_id), items.override_key(day))
            action = {"Delete": {"TableName": self._table, "Key": where}}
        await self._write_schedule(schedule, former, [action])

    async def _write_schedule(
        self, schedule: Schedule, former: Schedule | None, actions: list[Item]
    ) -> None:
        put: Item = {"TableName": self._table, "Item": items.schedule_item(schedule)}
        if former is None:
            put["ConditionExpression"] = "attribute_not_exists(user_id)"
        else:
            put["ConditionExpression"] = "version = :version"
            put["ExpressionAttributeValues"] = {":version": {"N": str(former.version)}}
            if not actions:  # an override leaves the weekly hours as they were
                kept = f"schedule#{items.instant(former.valid_from)}"
                former_item = items.schedule_item(former, kept)
                actions = [{"Put": {"TableName": self._table, "Item": former_item}}]
        patience = Patience(retried=self._retried)
        while True:
            codes = await self._transact([{"Put": put}, *actions], patience)
            if codes is None:
                return
            if codes[0] == REFUSED:
                raise ScheduleChangedError
            await patience.pause(classify_codes(codes), _unexpected(codes))

    async def read_calendar(
        self,
        doctor_id: str,
        doctor_days: Sequence[int],
        patient_id: str | None,
        patient_days: Sequence[int],
    ) -> CalendarView:
        """The schedule and what is busy on the given UTC days.

        One BatchGetItem for up to 100 keys: the schedule's version comes in the same call as the
        days, so that what is offered is never computed from hours that are no longer in force.
        """
        doctor = items.doctor_partition(doctor_id)
        keys = [items.key(doctor, items.SCHEDULE_KEY)]
        keys += items.day_keys(doctor, tuple(doctor_days))
        if patient_id is not None:
            patient = items.patient_partition(patient_id)
            keys += items.day_keys(patient, tuple(patient_days))
        schedule: Schedule | None = None
        doctor_busy: dict[int, int] = {}
        patient_busy: dict[int, int] = {}
        for item in await self._get_many(keys):
            if item["appointment_id"]["S"] == items.SCHEDULE_KEY:
                schedule = items.schedule_of(item)
            elif item["user_id"]["S"] == doctor:
                doctor_busy[items.day_of(item)] = items.state_of(item).taken
            else:
                patient_busy[items.day_of(item)] = items.state_of(item).taken
        return CalendarView(schedule, doctor_busy, patient_busy)

    async def read_appointment(self, patient_id: str, key: str) -> Appointment | None:
        """One appointment, consistently."""
        item = await self._get(patient_id, key)
        return items.appointment_of(item) if item is not None and "doctor_id" in item else None

    async def read_answer(self, caller_id: str, key: str, now: datetime) -> StoredAnswer | None:
        """The answer stored under an idempotency key, if it is still good."""
        item = await self._get(items.caller_partition(caller_id), f"key#{key}")
        if item is None or int(item["expires_at"]["N"]) <= int(now.timestamp()):
            return None
        return items.answer_of(item)

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
            await patience.pause(classify_codes(codes), _unexpected(codes))
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
        if not set(codes) & {REFUSED, *_TRANSIENT}:
            raise _unexpected(codes)
        judged = list(zip(parts, codes, strict=True))
        if in_doubt and write.record is None:
            after = write.after
            refused = any(part.kind == "appointment" and code == REFUSED for part, code in judged)
            if refused and await self.read_appointment(after.patient_id, after.key) == after:
                return True
        for kind in _WEIGHT:
            of_kind = [(part, code) for part, code in judged if part.kind == kind]
            failed = [part for part, code in of_kind if code == REFUSED]
            if failed and not all(part.replaces for part in failed):
                await self._refuse(write, kind)
            if failed or any(code in _TRANSIENT for _, code in of_kind):
                break
        return False

    async def _refuse(self, write: Write, kind: Kind) -> None:
        """Raises what it means that a part of this kind was refused; returns if nothing lasting."""
        if kind == "record":
            await self._raise_answer(write)
        elif kind == "schedule":
            raise ScheduleChangedError
        elif kind == "appointment":
            raise AppointmentChangedError
        elif kind == "doctor":
            raise SlotTakenError("another appointment of the doctor holds the time")
        elif kind == "patient":
            raise PatientBusyError("another appointment of the patient holds the time")

    async def _raise_answer(self, write: Write) -> None:
        record = write.record
        if record is not None:
            answer = await self.read_answer(record.caller_id, record.key, record.now)
            if answer is not None:
                raise AnsweredBeforeError(answer)

    async def _turn_away(self, write: Write, changes: list[DayChange], in_doubt: bool) -> None:
        """After a conflict: a read tells a loser more cheaply than another transaction would."""
        taking = [change for change in changes if change.take]
        if not taking:
            return
        days = await self._read_days(taking)
        for change in taking:
            if days[change.partition, change.day].taken & change.take & ~change.give:
                if await self._stands(write, in_doubt):
                    await self._refuse(write, change.kind)
                return

    async def _stands(self, write: Write, in_doubt: bool) -> bool:
        """Whether a time that was read as taken, and not refused by a write, may be refused.

        Versions only grow: those that are still as they were, now that the days have been read,
        were so then. Raises what weighs more; False if the change has taken effect itself, by an
        attempt whose answer was lost (`in_doubt`).
        """
        await self._raise_answer(write)
        before, after = write.before, write.after
        doctor = items.doctor_partition(after.doctor_id)
        keys = [items.key(doctor, items.SCHEDULE_KEY), items.key(after.patient_id, after.key)]
        found = {item["user_id"]["S"]: item for item in await self._get_many(keys)}
        versions = {partition: int(item["version"]["N"]) for partition, item in found.items()}
        present = found.get(after.patient_id)
        if in_doubt and present is not None and items.appointment_of(present) == after:
            return False
        if versions.get(after.patient_id) != (before.version if before else None):
            raise AppointmentChangedError
        if versions.get(doctor) != write.schedule_version:
            raise ScheduleChangedError
        return True

    async def _read_days(self, changes: list[DayChange]) -> Mapping[tuple[str, int], DayState]:
        keys = [items.key(change.partition, items.day_key(change.day)) for change in changes]
        days = {(change.partition, change.day): DayState(0, 0) for change in changes}
        for item in await self._get_many(keys):
            days[item["user_id"]["S"], items.day_of(item)] = items.state_of(item)
        return days

    async def list_appointments(
        self, selection: Selection, limit: int, after: Position | None
    ) -> tuple[list[Appointment], Position | None]:
        """A page by start, and the position to go on from, if there is more.

        A patient's list is read consistently; a doctor's comes from a global index and may lag
        by moments.
        """
        query = selection_query(selection)
        if query is None:
            return [], None
        found: list[Item] = []
        start = start_key(selection, after) if after is not None else None
        # One more than wanted tells whether there is a next page. A limit counts what is looked at,
        # before the filter: with one, a page's worth a call could take hundreds of calls.
        read = max(limit + 1, FILTERED_READ) if "FilterExpression" in query else limit + 1
        while True:
            page = {"ExclusiveStartKey": start} if start is not None else {}
            answer = await self._call("query", **query, **page, Limit=read)
            found += answer["Items"]
            start = answer.get("LastEvaluatedKey")
            if start is None or len(found) > limit:
                break
        listed = [items.appointment_of(item) for item in found[:limit]]
        if len(found) <= limit:
            return listed, None
        last = found[limit - 1]
        return listed, tuple(last[name]["S"] for name in ("starts_at", "user_id", "appointment_id"))

    async def _get(self, partition: str, sort: str) -> Item | None:
        answer = await self._call("get_item", Key=items.key(partition, sort), ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    async def _get_many(self, keys: list[Item]) -> list[Item]:
        batches = [keys[n : n + BATCH_KEYS] for n in range(0, len(keys), BATCH_KEYS)]
        if len(batches) == 1:
            return await self._get_batch(batches[0])
        return [
            item for batch in await asyncio.gather(*map(self._get_batch, batches)) for item in batch
        ]

    async def _get_batch(self, keys: list[Item]) -> list[Item]:
        patience = Patience(retried=self._retried)
        wanted: Item = {self._table: {"Keys": keys, "ConsistentRead": True}}
        found: list[Item] = []
        while True:
            ask = partial(self._client.batch_get_item, RequestItems=wanted)
            answer = await persist(ask, patience)
            found += answer["Responses"].get(self._table, [])
            wanted = answer.get("UnprocessedKeys", {})
            if not wanted:
                return found
            await patience.pause("throttled", RuntimeError("keys left unprocessed"))

    async def _query_all(self, **query: Any) -> list[Item]:
        found: list[Item] = []
        page: dict[str, Any] = {}
        while True:
            answer = await self._call("query", ConsistentRead=True, **query, **page)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return found
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def _transact(self, actions: list[Item], patience: Patience) -> list[str] | None:
        """One transaction, sent again with the same token while its answer is lost.

        Returns:
            None if it took effect, else the cancellation code of each action. The token is one
            random UUID an attempt: derived from the request, it would answer success to book,
            cancel, book again within ten minutes without writing anything.
        """
        token = str(uuid.uuid4())
        try:
            await persist(
                lambda: self._client.transact_write_items(
                    TransactItems=actions, ClientRequestToken=token
                ),
                patience,
                attempts=4,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            return cancellation_codes(error)
        return None


def _unexpected(codes: list[str]) -> Exception:
    return RuntimeError(f"transaction cancelled: {codes}")
