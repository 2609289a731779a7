"""The waiting list in the table.

| what | partition | sort key |
| --- | --- | --- |
| an entry | `patient#<id>` | `waitlist#<key>` |
| how many of a patient's are live | `patient#<id>` | `waitlist` |
| an entry's place in the queue | `waitlist#<doctor's id>` | `<key>#<patient's id>` |
| how many wait for a doctor | `waitlist-doctors#` | the doctor's id |

Keys are in the order in which they were made, so a queue is. A place holds nothing else: what is
true of an entry is told in one item.
"""

import json
from datetime import date, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from appointments_service.domain.waitlist import Entry, Offer, WaitStatus
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import BATCH_KEYS, OnTable
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.transactions import extra_action
from appointments_service.store_waitlist import (
    MOST_ENTRIES,
    DoctorsQueue,
    EntryChanged,
    PatientsEntries,
    QueuePlace,
)
from servicekit.aws import classify

PREFIX: Final = "waitlist#"
DOCTORS: Final = "waitlist-doctors#"
COUNT: Final = "waitlist"

# What has ended is shown for so long, and then deleted by the table.
ENDED_KEPT: Final = timedelta(days=90)


def queue_partition(doctor_id: str) -> str:
    """Where those are that wait for a doctor."""
    return PREFIX + doctor_id


def entry_key(patient_id: str, key: str) -> Item:
    """An entry's primary key."""
    return items.key(items.patient_partition(patient_id), PREFIX + key)


def entry_key_of(place: Item) -> Item:
    """The primary key of the entry that a place in a queue is of."""
    key, _, patient_id = place["appointment_id"]["S"].partition("#")
    return entry_key(patient_id, key)


def entry_item(entry: Entry) -> Item:
    """An entry as an item. The doctor isn't in `doctor_id`, or it would enter an index."""
    item: Item = {
        **entry_key(entry.patient_id, entry.key),
        "doctor": {"S": entry.doctor_id},
        "first": {"S": entry.first.isoformat()},
        "last": {"S": entry.last.isoformat()},
        "status": {"S": entry.status.value},
        "version": {"N": str(entry.version)},
        "created_at": {"S": items.instant(entry.created_at)},
        "updated_at": {"S": items.instant(entry.updated_at)},
    }
    if entry.offer is not None:
        item["offer"] = {"S": json.dumps(_offer_json(entry.offer))}
    if not entry.status.is_live:
        item["ttl"] = {"N": str(int((entry.updated_at + ENDED_KEPT).timestamp()))}
    return item


def entry_of(item: Item) -> Entry:
    """An item as an entry."""
    return Entry(
        key=item["appointment_id"]["S"].removeprefix(PREFIX),
        patient_id=item["user_id"]["S"].removeprefix(items.patient_partition("")),
        doctor_id=item["doctor"]["S"],
        first=date.fromisoformat(item["first"]["S"]),
        last=date.fromisoformat(item["last"]["S"]),
        status=WaitStatus(item["status"]["S"]),
        offer=_offer(json.loads(item["offer"]["S"])) if "offer" in item else None,
        version=int(item["version"]["N"]),
        created_at=datetime.fromisoformat(item["created_at"]["S"]),
        updated_at=datetime.fromisoformat(item["updated_at"]["S"]),
    )


def _offer_json(offer: Offer) -> dict[str, Any]:
    return {
        "starts_at": items.instant(offer.starts_at),
        "ends_at": items.instant(offer.ends_at),
        "expires_at": items.instant(offer.expires_at),
        "claims": items.readable_claims(offer.doctor_claims),
    }


def _offer(read: dict[str, Any]) -> Offer:
    return Offer(
        starts_at=datetime.fromisoformat(read["starts_at"]),
        ends_at=datetime.fromisoformat(read["ends_at"]),
        expires_at=datetime.fromisoformat(read["expires_at"]),
        doctor_claims=items.claims_of_readable(read["claims"]),
    )


@extra_action.register
def _entry_action(extra: EntryChanged, table: str) -> Item:
    put: Item = {"TableName": table, "Item": entry_item(extra.after)}
    if extra.before is None:
        put["ConditionExpression"] = "attribute_not_exists(user_id)"
    else:
        put["ConditionExpression"] = "version = :version"
        put["ExpressionAttributeValues"] = {":version": {"N": str(extra.before.version)}}
    return {"Put": put}


@extra_action.register
def _place_action(extra: QueuePlace, table: str) -> Item:
    entry = extra.entry
    place = items.key(queue_partition(entry.doctor_id), f"{entry.key}#{entry.patient_id}")
    if entry.status.is_live:
        return {"Put": {"TableName": table, "Item": place}}
    return {"Delete": {"TableName": table, "Key": place}}


@extra_action.register
def _queue_action(extra: DoctorsQueue, table: str) -> Item:
    return {"Update": _added(table, items.key(DOCTORS, extra.doctor_id), extra.delta)}


@extra_action.register
def _entries_action(extra: PatientsEntries, table: str) -> Item:
    where = items.key(items.patient_partition(extra.patient_id), COUNT)
    update = _added(table, where, extra.delta)
    if extra.delta > 0:
        update["ConditionExpression"] = "attribute_not_exists(waiting) OR waiting < :most"
        update["ExpressionAttributeValues"][":most"] = {"N": str(MOST_ENTRIES)}
    return {"Update": update}


def _added(table: str, where: Item, delta: int) -> Item:
    return {
        "TableName": table,
        "Key": where,
        "UpdateExpression": "ADD waiting :delta",
        "ExpressionAttributeValues": {":delta": {"N": str(delta)}},
    }


class Waitlists(OnTable):
    """The part of `AppointmentStore` that knows who waits."""

    async def read_entry(self, patient_id: str, key: str) -> Entry | None:
        """One entry, consistently."""
        item = await self._get(items.patient_partition(patient_id), PREFIX + key)
        return entry_of(item) if item is not None else None

    async def list_entries(self, patient_id: str, after: str, limit: int) -> list[Entry]:
        """A page of a patient's entries, oldest first, consistently; `after` is exclusive."""
        answer = await self._call(
            "query",
            ConsistentRead=True,
            KeyConditionExpression="user_id = :owner AND appointment_id BETWEEN :after AND :last",
            ExpressionAttributeValues={
                ":owner": {"S": items.patient_partition(patient_id)},
                # No key is continued by another one, so what lies behind it is the next.
                ":after": {"S": f"{PREFIX}{after} "},
                ":last": {"S": f"{PREFIX}~"},
            },
            Limit=limit,
        )
        return [entry_of(item) for item in answer["Items"]]

    async def read_queue(self, doctor_id: str) -> list[Entry]:
        """The live entries of those that wait for a doctor, first come first, consistently.

        Two calls a hundred of them, one after the other: nobody waits for the answer.
        """
        found: list[Entry] = []
        page: dict[str, Any] = {}
        while True:
            answer = await self._call(
                "query",
                ConsistentRead=True,
                KeyConditionExpression="user_id = :queue",
                ExpressionAttributeValues={":queue": {"S": queue_partition(doctor_id)}},
                Limit=BATCH_KEYS,
                **page,
            )
            if answer["Items"]:
                rows = await self._get_many([entry_key_of(place) for place in answer["Items"]])
                entries = [entry_of(row) for row in rows]
                found += sorted(entries, key=lambda entry: (entry.key, entry.patient_id))
            if "LastEvaluatedKey" not in answer:
                # One that has ended between the two calls has lost its place by now.
                return [entry for entry in found if entry.status.is_live]
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def read_waited_for(self) -> dict[str, int]:
        """The doctors that anybody waits for, and how many do."""
        found = await self._query_all(
            KeyConditionExpression="user_id = :doctors",
            FilterExpression="waiting > :nobody",
            ExpressionAttributeValues={":doctors": {"S": DOCTORS}, ":nobody": {"N": "0"}},
        )
        return {item["appointment_id"]["S"]: int(item["waiting"]["N"]) for item in found}

    async def forget_entry(self, entry: Entry) -> bool:
        """Deletes an entry that has ended; False if it isn't as it was read any more."""
        try:
            await self._call(
                "delete_item",
                Key=entry_key(entry.patient_id, entry.key),
                ConditionExpression="version = :version",
                ExpressionAttributeValues={":version": {"N": str(entry.version)}},
            )
        except ClientError as error:
            if classify(error) not in ("refused", "conflict"):
                raise
            return False
        return True
