"""What tests of the audit share: acting on a clinic, planting, and auditing."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import keys_of
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_table import Table
from tests.appointments.conftest import Suite
from tools.answers import Answered
from tools.audit.audit import Audit, Report

UTC = ZoneInfo("UTC")
DAY = "day#2026-03-03"
TALLY = "tally#2026-03-03"

_keys = itertools.count(1)


async def audited(
    clinic: Suite,
    answers: Iterable[Answered] = (),
    *,
    segments: int = 1,
    items_a_scan: int = 10**6,
    look_again: Sequence[float] = (0.0, 0.0),
) -> Report:
    table = Table(clinic.dynamodb, clinic.table)
    audit = Audit(table, UTC, segments=segments, items_a_scan=items_a_scan, look_again=look_again)
    return await audit.run(answers)


async def act(clinic: Suite, made: dict[str, Any], verb: str, **body: Any) -> dict[str, Any]:
    headers = {**clinic.admin(), "Idempotency-Key": f"key-{next(_keys)}"}
    path = f"/v1/appointments/{made['id']}/{verb}"
    answer = await clinic.client.post(path, json=body or None, headers=headers)
    assert answer.status == 200, await answer.text()
    changed: dict[str, Any] = await answer.json()
    return changed


async def book(
    clinic: Suite, time: str, patient: str, doctor: str = "doc", day: int = 3
) -> dict[str, Any]:
    headers = {"Idempotency-Key": f"key-{next(_keys)}"}
    starts_at = f"2026-03-{day:02}T{time}:00Z"
    return await clinic.booked(starts_at, patient=patient, doctor=doctor, headers=headers)


def journal(*answers: dict[str, Any]) -> list[Answered]:
    return [Answered.of("a test was told", answer) for answer in answers]


async def update(clinic: Suite, partition: str, sort: str, expression: str, value: Any) -> None:
    await clinic.dynamodb.update_item(
        TableName=clinic.table,
        Key=items.key(partition, sort),
        UpdateExpression=expression,
        ExpressionAttributeValues={":value": value},
    )


async def delete(clinic: Suite, partition: str, sort: str) -> None:
    await clinic.dynamodb.delete_item(TableName=clinic.table, Key=items.key(partition, sort))


async def stored(clinic: Suite, partition: str, sort: str) -> items.Item:
    answer = await clinic.dynamodb.get_item(
        TableName=clinic.table, Key=items.key(partition, sort), ConsistentRead=True
    )
    found: items.Item = answer["Item"]
    return found


async def put(clinic: Suite, item: items.Item) -> None:
    await clinic.dynamodb.put_item(TableName=clinic.table, Item=item)


def keys(made: dict[str, Any]) -> tuple[str, str]:
    found = keys_of(made["id"])
    assert found is not None
    return found


async def change(clinic: Suite, made: dict[str, Any], **attributes: Any) -> None:
    await put(clinic, {**await stored(clinic, *keys(made)), **attributes})
