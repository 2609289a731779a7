"""What DynamoDB refuses, and emulators let pass: kept by every transaction that can be written.

The limits are those of "Service, account, and table quotas in Amazon DynamoDB". The number of
operators is checked in condition expressions, too, and AND, OR, NOT and functions all count.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from appointments_service.domain.buckets import Claims, buckets_in, claims_of
from appointments_service.store_dynamodb.items import DayState
from appointments_service.store_dynamodb.transactions import DayChange, day_part
from tests.appointments.conftest import MakeSuite

MAX_OPERATORS = 300
MAX_EXPRESSION = 4096

# The longest that a schedule allows: 240 minutes with buffers of 60 on both sides.
LONGEST = 240 + 60 + 60

_operators = re.compile(r"\b(?:AND|OR|NOT|BETWEEN|IN)\b|[a-z_]+\s*\(|[=<>]+|[+-]").findall


def expressions(action: dict[str, Any]) -> Iterator[str]:
    for part in action.values():
        for name, value in part.items():
            if name.endswith("Expression"):
                yield value


def check(actions: Sequence[dict[str, Any]]) -> None:
    for action in actions:
        for expression in expressions(action):
            assert len(expression.encode()) <= MAX_EXPRESSION
            assert len(_operators(expression)) <= MAX_OPERATORS, expression[:100]


def longest_claims(start: int) -> Claims:
    return claims_of(start, start + LONGEST * 60)


@pytest.mark.parametrize("move", [False, True])
def test_the_longest_slot_keeps_the_limits(move: bool) -> None:
    [(day, mask)] = longest_claims(6 * 3600).items()
    state = DayState(mask << 1, 0) if move else None
    change = DayChange("doctor", "doctor#d", day, mask << 1 if move else 0, mask)
    part = day_part("table", change, state)
    check([part.action])
    values = part.action["Update"]["ExpressionAttributeValues"]
    wanted = {str(bucket) for bucket in buckets_in(mask)}
    assert {value["N"] for value in values.values() if "N" in value} == wanted


class Recorder:
    """A DynamoDB client that checks what is sent to it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.checked = 0
        self.most = 0

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    async def transact_write_items(self, **arguments: Any) -> Any:
        check(arguments["TransactItems"])
        self.most = max(self.most, len(arguments["TransactItems"]))
        assert self.most <= 100
        self.checked += 1
        return await self._client.transact_write_items(**arguments)


async def test_a_doctor_with_the_longest_slots_can_be_booked_and_moved(
    make_suite: MakeSuite, dynamodb: Any
) -> None:
    recorder = Recorder(dynamodb)
    suite = await make_suite(recorder)
    all_day = [{"start": "00:00", "end": "24:00"}]
    await suite.set_hours(
        weekly={"tue": all_day, "wed": all_day},
        slot_minutes=240,
        buffer_before_minutes=60,
        buffer_after_minutes=60,
    )
    made = await suite.booked("2026-03-03T20:00:00Z")  # its buffer reaches into the next UTC day
    for starts_at in ("2026-03-03T16:00:00Z", "2026-03-04T04:00:00Z", "2026-03-04T00:00:00Z"):
        answer = await suite.client.post(
            f"/v1/appointments/{made['id']}/reschedule",
            json={"starts_at": starts_at},
            headers={**suite.patient(), "Idempotency-Key": starts_at},
        )
        assert answer.status == 200
    answer = await suite.book("2026-03-04T04:00:00Z", patient="other")
    assert (answer.status, (await answer.json())["code"]) == (409, "slot_taken")
    assert recorder.checked >= 5


async def test_the_longest_series_of_the_longest_slots(
    make_suite: MakeSuite, dynamodb: Any
) -> None:
    recorder = Recorder(dynamodb)
    suite = await make_suite(recorder)
    await suite.set_hours(
        timezone="Asia/Kolkata",  # from 04:00 to 08:00 there, a day of UTC ends
        weekly={"wed": [{"start": "00:00", "end": "24:00"}]},
        slot_minutes=240,
        buffer_before_minutes=60,
        buffer_after_minutes=60,
    )
    answer = await suite.client.post(
        "/v1/appointments/series",
        json={
            "doctor_id": "doc",
            "starts_at": "2026-03-03T22:30:00Z",
            "every_weeks": 1,
            "count": 12,
            "reason": "x" * 1000,
        },
        headers={**suite.patient(), "Idempotency-Key": "one"},
    )
    assert answer.status == 201, await answer.text()
    items = (await answer.json())["items"]
    # Two days of each calendar, the appointment and the tally, each twelve times; key and schedule.
    assert recorder.most == 12 * 6 + 2
    path = f"/v1/appointments/{items[0]['id']}/cancel"
    ended = await suite.client.post(path, json={"series": "remaining"}, headers=suite.patient())
    assert ended.status == 200
    assert recorder.most == 12 * 6 + 2
