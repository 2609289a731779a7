"""The outbox in the table.

An entry's sort key begins with the moment of its next try, so what is due comes first, and a read
ends where nothing is due: what waits for a later try is never in the way of the others. To move
that moment is to put the entry under another key, in one transaction with the deletion of the
former: of several that take one entry, one succeeds.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zlib import crc32

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.notices import Notice
from appointments_service.outbox import Entry, Posting
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import (
    REFUSED,
    TRANSIENT,
    OnTable,
    Patience,
    unexpected,
)
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.transactions import extra_action
from servicekit.aws import classify_codes

SHARDS: Final = 4
"""Partitions that entries are spread over, since one takes a thousand writes a second."""
READ: Final = 100
"""Entries that are read of each shard at once."""

_THERE: Final = "attribute_exists(user_id)"


def shard_of(notice_id: str) -> str:
    """The partition that a notice's entry is in, for good."""
    return _partition(crc32(notice_id.encode()) % SHARDS)


def _partition(shard: int) -> str:
    return f"outbox#{shard}"


def _second(moment: datetime) -> str:
    return items.instant(moment.replace(microsecond=0))


def notice_item(notice: Notice) -> Item:
    """A notice as a new entry."""
    return {
        **items.key(shard_of(notice.id), f"{_second(notice.due_at)}#{notice.id}"),
        "due_at": {"S": _second(notice.due_at)},
        "attempts": {"N": "0"},
        "notice": {"S": notice.to_json()},
    }


@extra_action.register
def _(extra: Posting, table: str) -> Item:
    return {"Put": {"TableName": table, "Item": notice_item(extra.notice)}}


def _entry(item: Item) -> Entry:
    sort = item["appointment_id"]["S"]
    return Entry(
        place=(item["user_id"]["S"], sort),
        due_at=datetime.fromisoformat(item["due_at"]["S"]),
        next_try_at=datetime.fromisoformat(sort.partition("#")[0]),
        attempts=int(item["attempts"]["N"]),
        text=item["notice"]["S"],
    )


class StoredOutbox(OnTable):
    """`OutboxStore` on the table."""

    async def read_outbox(self, until: datetime) -> list[Entry]:
        """The first entries of each shard whose next try is until then, earliest first."""
        found: list[Entry] = []
        for shard in range(SHARDS):
            answer = await self._call(
                "query",
                ConsistentRead=True,
                KeyConditionExpression="user_id = :shard AND appointment_id < :until",
                ExpressionAttributeValues={
                    ":shard": {"S": _partition(shard)},
                    ":until": {"S": f"{_second(until)}~"},
                },
                Limit=READ,
            )
            found += map(_entry, answer["Items"])
        return sorted(found, key=lambda entry: entry.next_try_at)

    async def postpone(self, entry: Entry, until: datetime, attempts: int) -> Entry | None:
        """Moves an entry's next try; None if it isn't there any more."""
        partition, sort = entry.place
        if _second(until) == _second(entry.next_try_at):
            until += timedelta(seconds=1)  # a transaction takes an item once, so it needs another
        moved: Item = {
            **items.key(partition, f"{_second(until)}#{sort.partition('#')[2]}"),
            "due_at": {"S": _second(entry.due_at)},
            "attempts": {"N": str(attempts)},
            "notice": {"S": entry.text},
        }
        return _entry(moved) if await self._exchange(entry, [moved]) else None

    async def settle(self, entry: Entry, following: Sequence[Notice]) -> bool:
        """Takes an entry out and puts in what follows on it; False if it isn't there any more."""
        return await self._exchange(entry, [notice_item(notice) for notice in following])

    async def read_appointments(self, patient_id: str, keys: Sequence[str]) -> list[Appointment]:
        """Those of a patient's appointments that there are, consistently."""
        found = await self._get_many([items.key(patient_id, key) for key in keys])
        return [items.appointment_of(item) for item in found if "doctor_id" in item]

    async def _exchange(self, entry: Entry, put: Sequence[Item]) -> bool:
        """Deletes an entry and puts others in its place; False if it isn't there."""
        former = items.key(*entry.place)
        delete = {"TableName": self._table, "Key": former, "ConditionExpression": _THERE}
        actions: list[Item] = [{"Delete": delete}]
        actions += [{"Put": {"TableName": self._table, "Item": item}} for item in put]
        patience = Patience(retried=self._retried)
        while True:
            codes = await self._transact(actions, patience)
            if codes is None:
                return True
            if REFUSED in codes:
                return False
            if not set(codes) & TRANSIENT:
                raise unexpected(codes)
            await patience.pause(classify_codes(codes), unexpected(codes))
