"""Reads the table as an audit does: all of it, and again what looks wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import datetime
from typing import Any

from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import Patience, persist
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.table import BY_DOCTOR
from appointments_service.store_dynamodb.waitlist import entry_key_of, queue_partition

BATCH_KEYS = 100  # BatchGetItem's most
_CALL_SECONDS = 30.0
_CALL_ATTEMPTS = 8

Key = tuple[str, str]
"""Partition and sort key."""


class Table:
    """One table, over a low-level DynamoDB client; every read but of the index is consistent.

    Every method raises StoreUnavailableError while the store is away.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    async def size(self) -> int:
        """About how many items there are."""
        answer = await self._call("describe_table")
        count: int = answer["Table"]["ItemCount"]
        return count

    async def scan(self, segments: int, take: Callable[[list[Item]], Awaitable[None]]) -> None:
        """Hand all items to `take`, a page at a time, from so many segments at once."""

        async def read(part: dict[str, int]) -> None:
            async for page in self._pages("scan", ConsistentRead=True, **part):
                await take(page)

        parts = [{"Segment": n, "TotalSegments": segments} for n in range(segments)]
        # An emulator computes each segment from the whole table: one is not asked for as a part.
        await asyncio.gather(*map(read, parts if segments > 1 else [{}]))

    async def get(self, keys: Collection[Key]) -> dict[Key, Item]:
        """The items under the keys; those that aren't there are left out."""
        found: dict[Key, Item] = {}
        ordered = sorted(set(keys))
        for start in range(0, len(ordered), BATCH_KEYS):
            wanted = [items.key(*key) for key in ordered[start : start + BATCH_KEYS]]
            patience = Patience(_CALL_SECONDS)
            while wanted:
                request = {self._name: {"Keys": wanted, "ConsistentRead": True}}
                answer = await self._call("batch_get_item", _table=False, RequestItems=request)
                for item in answer["Responses"].get(self._name, []):
                    found[key_of(item)] = item
                wanted = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
                if wanted:
                    await patience.pause("throttled", RuntimeError("keys left unprocessed"))
        return found

    async def of_patient(self, patient_id: str) -> list[Item]:
        """A patient's appointments."""
        return await self._query(
            ConsistentRead=True,
            KeyConditionExpression="user_id = :owner",
            FilterExpression="attribute_exists(doctor_id)",
            ExpressionAttributeValues={":owner": {"S": patient_id}},
        )

    async def waiting_for(self, doctor_id: str) -> list[Item]:
        """The entries that have a place in a doctor's queue."""
        places = await self.queue(doctor_id)
        return list((await self.get([key_of(entry_key_of(one)) for one in places])).values())

    async def queue(self, doctor_id: str) -> list[Item]:
        """The places in a doctor's queue."""
        return await self._query(
            ConsistentRead=True,
            KeyConditionExpression="user_id = :queue",
            ExpressionAttributeValues={":queue": {"S": queue_partition(doctor_id)}},
        )

    async def of_doctor(self, doctor_id: str, since: datetime, until: datetime) -> list[Item]:
        """A doctor's appointments that start from `since` up to `until`.

        The index that tells which they are may lag; the appointments are read consistently.
        """
        listed = await self._query(
            IndexName=BY_DOCTOR,
            KeyConditionExpression="doctor_id = :owner AND starts_at BETWEEN :a AND :b",
            ExpressionAttributeValues={
                ":owner": {"S": doctor_id},
                ":a": {"S": items.instant(since)},
                ":b": {"S": items.instant(until)},
            },
        )
        return list((await self.get([key_of(item) for item in listed])).values())

    async def _query(self, **query: Any) -> list[Item]:
        return [item async for page in self._pages("query", **query) for item in page]

    async def _pages(self, operation: str, **arguments: Any) -> AsyncIterator[list[Item]]:
        start: dict[str, Any] = {}
        while True:
            answer = await self._call(operation, **arguments, **start)
            yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def _call(self, operation: str, *, _table: bool = True, **arguments: Any) -> Any:
        if _table:
            arguments["TableName"] = self._name
        method = getattr(self._client, operation)
        return await persist(
            lambda: method(**arguments), Patience(_CALL_SECONDS), attempts=_CALL_ATTEMPTS
        )


def key_of(item: Item) -> Key:
    """An item's primary key."""
    return item["user_id"]["S"], item["appointment_id"]["S"]
