"""What stays of a patient whose account is closed: times, statuses and ids, and nothing else."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from appointments_service.domain.appointments import ERASED
from appointments_service.service import erasing
from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.faults import FaultyClient

NAME, REASON, NOTE = "Zoe Personal", "a private reason", 'a "private" note'
KEPT = ("id", "patient_id", "doctor_id", "doctor_name", "starts_at", "ends_at", "status")


def users(suite: Suite, scope: str = "erase") -> dict[str, str]:
    return suite.auth("users", "service", scope=scope)


def keyed(suite: Suite, headers: dict[str, str], key: str) -> dict[str, str]:
    return {**headers, "Idempotency-Key": key}


def zoe(suite: Suite) -> dict[str, str]:
    return suite.patient("zoe", name=NAME)


async def book(suite: Suite, starts_at: str, key: str | None = None) -> dict[str, Any]:
    headers = zoe(suite) if key is None else keyed(suite, zoe(suite), key)
    return await suite.booked(starts_at, reason=REASON, headers=headers)


async def post(suite: Suite, path: str, headers: dict[str, str], **body: Any) -> Any:
    answer = await suite.client.post(path, json=body or None, headers=headers)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def erase(suite: Suite, patient_id: str = "zoe") -> int:
    """Until nothing remains; how many calls that took."""
    calls = 0
    while True:
        calls += 1
        answer = await post(suite, f"/v1/appointments/erasures/{patient_id}", users(suite))
        assert answer.keys() == {"remaining"}
        if not answer["remaining"]:
            return calls


async def everything(suite: Suite) -> str:
    """All that is in the table."""
    found: list[Any] = []
    page: dict[str, Any] = {}
    while True:
        answer = await suite.dynamodb.scan(TableName=suite.table, ConsistentRead=True, **page)
        found += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return json.dumps(found)
        page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def assert_no_trace(table: str) -> None:
    assert [text for text in (NAME, "private") if text in table] == []


async def test_the_person_goes_and_the_record_stays(suite: Suite) -> None:
    await suite.set_hours()
    kept = await book(suite, "2026-03-03T09:00:00Z", "one")
    moved = await book(suite, "2026-03-03T10:00:00Z")
    gone = await book(suite, "2026-03-03T11:00:00Z")
    path = f"/v1/appointments/{moved['id']}/reschedule"
    moved = await post(
        suite, path, keyed(suite, zoe(suite), "two"), starts_at="2026-03-04T10:00:00Z"
    )
    path = f"/v1/appointments/{gone['id']}/cancel"
    gone = await post(suite, path, zoe(suite), reason=NOTE)
    assert NAME in await everything(suite)

    await erase(suite)

    assert_no_trace(await everything(suite))
    for before in (kept, moved, gone):
        answer = await suite.client.get(f"/v1/appointments/{before['id']}", headers=suite.doctor())
        after = await answer.json()
        assert {name: after[name] for name in KEPT} == {name: before[name] for name in KEPT}
        assert (after["patient_name"], after["reason"]) == (ERASED, None)
        assert after["version"] == before["version"] + 1
        path = f"/v1/appointments/{before['id']}/history"
        lines = (await (await suite.client.get(path, headers=suite.doctor())).json())["items"]
        assert len(lines) == after["version"]
        assert {line["note"] for line in lines} == {None}
        assert (lines[-1]["actor_id"], lines[-1]["to_status"]) == ("users", before["status"])


async def test_again_changes_nothing(suite: Suite) -> None:
    await suite.set_hours()
    made = await book(suite, "2026-03-03T09:00:00Z")
    await erase(suite)
    before = await everything(suite)
    assert await erase(suite) == 1
    assert await everything(suite) == before
    assert await erase(suite, "nobody") == 1
    # What is written of it later, with a token that is good yet, goes too.
    await post(suite, f"/v1/appointments/{made['id']}/cancel", zoe(suite), reason=NOTE)
    await erase(suite)
    assert_no_trace(await everything(suite))


async def test_nobody_elses_goes(suite: Suite) -> None:
    await suite.set_hours()
    headers = keyed(suite, suite.patient("other", name="Other Person"), "other")
    other = await suite.booked("2026-03-03T09:30:00Z", reason="other", headers=headers)
    await book(suite, "2026-03-03T09:00:00Z")
    await erase(suite)
    answer = await suite.client.get(
        f"/v1/appointments/{other['id']}", headers=suite.patient("other")
    )
    assert await answer.json() == other
    # The answer that was stored for that caller is given again.
    again = await suite.booked("2026-03-03T09:30:00Z", reason="other", headers=headers)
    assert again == other


async def test_answers_that_were_given_to_others_go_too(suite: Suite) -> None:
    await suite.set_hours()
    suite.users.add_patient("zoe", NAME)
    suite.users.add_patient("other", "Other Person")
    for patient, starts_at in (("zoe", "09:00"), ("other", "10:00")):
        answer = await suite.client.post(
            "/v1/appointments",
            json={
                "doctor_id": "doc",
                "patient_id": patient,
                "starts_at": f"2026-03-03T{starts_at}:00Z",
                "reason": REASON if patient == "zoe" else "other",
            },
            headers=keyed(suite, suite.admin(), patient),
        )
        assert answer.status == 201
    await erase(suite)
    table = await everything(suite)
    assert_no_trace(table)
    assert table.count("caller#boss") == 1


async def test_each_call_does_so_much_and_says_that_there_is_more(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "APPOINTMENTS_A_CALL", 2)
    monkeypatch.setattr(erasing, "ANSWERS_A_CALL", 2)
    await suite.set_hours()
    for n in range(5):
        await book(suite, f"2026-03-0{n + 3}T09:00:00Z", f"key-{n}")
    assert await erase(suite) == 3
    assert_no_trace(await everything(suite))


class InBetween(FaultyClient):
    """A client that is told of a Query's answer only after something else has happened."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.changes: list[Callable[[], Awaitable[object]]] = []

    async def query(self, **arguments: Any) -> Any:
        answer = await self._client.query(**arguments)
        if self.changes:
            await self.changes.pop()()
        return answer


async def test_a_change_that_comes_in_between_is_not_lost(
    make_suite: MakeSuite, dynamodb: Any
) -> None:
    between = InBetween(dynamodb)
    suite: Suite = await make_suite(between)
    await suite.set_hours()
    made = await book(suite, "2026-03-03T09:00:00Z")
    check_in = f"/v1/appointments/{made['id']}/check-in"
    between.changes.append(lambda: post(suite, check_in, suite.doctor()))
    assert await erase(suite) == 2
    answer = await suite.client.get(f"/v1/appointments/{made['id']}", headers=suite.doctor())
    after = await answer.json()
    assert (after["status"], after["version"], after["patient_name"]) == ("checked_in", 3, ERASED)


@pytest.mark.parametrize("lost", [True, False])
async def test_a_write_that_fails_or_whose_answer_is_lost(
    make_suite: MakeSuite, faulty: FaultyClient, lost: bool
) -> None:
    suite: Suite = await make_suite(faulty)
    await suite.set_hours()
    await book(suite, "2026-03-03T09:00:00Z")
    if lost:
        faulty.fail("put_item", after=TimeoutError())
    else:
        response: Any = {"Error": {"Code": "TransactionConflictException", "Message": ""}}
        faulty.fail("put_item", before=ClientError(response, "PutItem"))
    # The fault is for the write: what is read before meets none.
    assert await erase(suite) == 2
    assert not faulty.faults
    assert_no_trace(await everything(suite))


async def test_the_ids_come_in_pages(suite: Suite) -> None:
    await suite.set_hours()
    made = {(await book(suite, f"2026-03-0{n + 3}T09:00:00Z"))["id"] for n in range(5)}
    path, seen, cursor = "/v1/appointments/erasures/zoe?limit=2", [], ""
    while True:
        answer = await suite.client.get(path + cursor, headers=users(suite))
        page = await answer.json()
        assert answer.status == 200, page
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == 5
    assert set(seen) == made
    answer = await suite.client.get(f"{path}&cursor=x", headers=users(suite))
    assert answer.status == 422


async def test_only_for_the_scope(suite: Suite) -> None:
    path = "/v1/appointments/erasures/zoe"
    for headers, status in (
        ({}, 401),
        (suite.patient("zoe"), 403),
        (suite.admin(), 403),
        (users(suite, "names:read"), 403),
        (users(suite), 200),
    ):
        for method in ("GET", "POST"):
            answer = await suite.client.request(method, path, headers=headers)
            assert answer.status == status, (method, headers)


async def test_who_waits_waits_no_more_and_what_was_held_goes_to_the_next(suite: Suite) -> None:
    await suite.set_hours(weekly={"tue": [{"start": "09:00", "end": "09:30"}]})
    for patient, dates in (("zoe", 3), ("zoe", 4), ("zoe", 3), ("other", 3)):
        suite.advance(seconds=1)
        body = {"doctor_id": "doc", "from": "2026-03-03", "to": f"2026-03-0{dates}"}
        headers = keyed(suite, suite.patient(patient), f"{patient}{suite.clock().timestamp()}")
        answer = await suite.client.post("/v1/waitlist", json=body, headers=headers)
        assert answer.status == 201, await answer.text()
    await suite.fill()
    await suite.client.delete(
        f"/v1/waitlist/{(await waits_of(suite, 'zoe'))[2]['id']}", headers=zoe(suite)
    )
    assert [entry["status"] for entry in await waits_of(suite, "zoe")] == [
        "offered", "waiting", "cancelled",
    ]  # fmt: skip

    await erase(suite)

    assert await waits_of(suite, "zoe") == []
    assert "waitlist#" not in "".join(
        item["appointment_id"]["S"] + item["user_id"]["S"]
        for item in json.loads(await everything(suite))
        if "zoe" in json.dumps(item)
    )
    await suite.fill()
    assert [entry["status"] for entry in await waits_of(suite, "other")] == ["offered"]
    assert await erase(suite) == 1


async def test_of_entries_too_each_call_takes_so_many(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "ENTRIES_A_CALL", 2)
    await suite.set_hours(weekly={})
    for _ in range(5):
        body = {"doctor_id": "doc", "from": "2026-03-03", "to": "2026-03-03"}
        await suite.client.post("/v1/waitlist", json=body, headers=zoe(suite))
    assert await erase(suite) == 3
    assert await waits_of(suite, "zoe") == []


async def waits_of(suite: Suite, patient: str) -> list[dict[str, Any]]:
    answer = await suite.client.get("/v1/waitlist", headers=suite.patient(patient))
    found: list[dict[str, Any]] = (await answer.json())["items"]
    return found
