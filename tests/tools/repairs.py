"""What tests of repairs share: planting, repairing, and coming in between."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

from appointments_service.domain.buckets import day_number
from appointments_service.domain.invariants import Calendar
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_table import Key, Table, key_of
from tests.appointments.conftest import Suite
from tests.tools.audits import (
    DAY,
    TALLY,
    UTC,
    audited,
    update,
)
from tools.audit.audit import Report
from tools.audit.repair import Repair, Repairing

THE_DAY = Calendar("doctor", "doc", day_number(date(2026, 3, 3)))
DOCTOR = str(THE_DAY)
SUMS = "tally of doctor doc, 2026-03-03"


async def whole(clinic: Suite) -> dict[Key, items.Item]:
    """All that is in the table but leases, sets in order."""
    found: dict[Key, items.Item] = {}

    async def take(page: list[items.Item]) -> None:
        for item in page:
            for value in item.values():
                if "NS" in value:
                    value["NS"].sort()
            if key_of(item)[0] != "leases#":
                found[key_of(item)] = item

    await Table(clinic.dynamodb, clinic.table).scan(1, take)
    return found


def repairing(clinic: Suite, client: Any = None, *, writes: bool = True) -> Repairing:
    return Repairing(client or clinic.dynamodb, clinic.table, UTC, writes=writes)


async def repaired(clinic: Suite, client: Any = None) -> list[Repair]:
    return await repairing(clinic, client).run(await audited(clinic))


async def taken_over(clinic: Suite, *buckets: int) -> None:
    await clinic.dynamodb.update_item(
        TableName=clinic.table,
        Key=items.key("doctor#doc", DAY),
        UpdateExpression="ADD #over :value",
        ExpressionAttributeNames={"#over": "over"},
        ExpressionAttributeValues={":value": {"NS": [str(bucket) for bucket in buckets]}},
    )


async def buckets_of_nobody(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "ADD busy :value", {"NS": ["114", "287"]})


async def a_sum_too_high(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", TALLY, "ADD n_booked :value", {"N": "1"})


class Between:
    """A client whose n-th scan something comes before, and whose index may know nothing yet."""

    def __init__(
        self,
        client: Any,
        before: dict[int, Callable[[], Awaitable[None]]] | None = None,
        *,
        index_lags: bool = False,
    ) -> None:
        self._client = client
        self._before = before or {}
        self._index_lags = index_lags
        self._scans = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def scan(self, **arguments: Any) -> Any:
        self._scans += 1
        if self._scans in self._before:
            await self._before[self._scans]()
        return await self._client.scan(**arguments)

    async def query(self, **arguments: Any) -> Any:
        if self._index_lags and "IndexName" in arguments:
            return {"Items": []}
        return await self._client.query(**arguments)


def suspected() -> Report:
    """What an audit finds where the index lags for so long that it is mistaken."""
    return Report(spots={THE_DAY: []})
