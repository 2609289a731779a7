"""What happens to an appointment after it was booked."""

import asyncio
from typing import Any

from aiohttp import ClientResponse

from tests.appointments.conftest import Suite


async def act(
    suite: Suite, made: dict[str, Any], verb: str, who: dict[str, str], **body: Any
) -> ClientResponse:
    path = f"/v1/appointments/{made['id']}/{verb}"
    return await suite.client.post(path, json=body or None, headers=who)


async def code_of(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, (await answer.json())["code"]


async def test_a_cancelled_time_is_open_again(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked()
    answer = await act(suite, made, "cancel", suite.patient(), reason="better")
    cancelled = await answer.json()
    assert (answer.status, cancelled["status"], cancelled["version"]) == (200, "cancelled", 2)
    assert cancelled["cancelled_by"] == "pat"
    await suite.booked(patient="other")
    assert await code_of(await act(suite, made, "cancel", suite.patient())) == (409, "wrong_status")


async def test_the_day_runs_and_history_tells(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked()
    assert (await act(suite, made, "check-in", suite.patient())).status == 403
    assert (await act(suite, made, "check-in", suite.doctor("other"))).status == 404
    assert await code_of(await act(suite, made, "complete", suite.doctor())) == (
        409,
        "wrong_status",
    )
    assert await code_of(await act(suite, made, "no-show", suite.doctor())) == (409, "too_early")
    assert (await act(suite, made, "check-in", suite.doctor())).status == 200
    assert (await act(suite, made, "complete", suite.admin())).status == 200
    history = await suite.client.get(
        f"/v1/appointments/{made['id']}/history", headers=suite.patient()
    )
    rows = (await history.json())["items"]
    assert [(row["from_status"], row["to_status"], row["actor_role"]) for row in rows] == [
        (None, "booked", "patient"),
        ("booked", "checked_in", "doctor"),
        ("checked_in", "completed", "admin"),
    ]


async def test_nobody_came(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked()
    suite.advance(days=1, hours=1)
    answer = await act(suite, made, "no-show", suite.doctor())
    assert (await answer.json())["status"] == "no_show"
    assert await code_of(await act(suite, made, "cancel", suite.admin())) == (409, "wrong_status")


async def test_a_move_frees_the_old_time_and_takes_the_new(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked("2026-03-03T09:00:00Z")
    await suite.booked("2026-03-03T10:00:00Z", patient="other")
    move = "reschedule"
    taken = await act(suite, made, move, suite.patient(), starts_at="2026-03-03T10:00:00Z")
    assert await code_of(taken) == (409, "slot_taken")
    same = await act(suite, made, move, suite.patient(), starts_at="2026-03-03T09:00:00Z")
    assert await code_of(same) == (422, "same_time")
    moved = await act(suite, made, move, suite.patient(), starts_at="2026-03-03T09:30:00Z")
    assert moved.status == 200
    assert (await moved.json())["starts_at"] == "2026-03-03T09:30:00Z"
    open_now = await suite.slots("2026-03-03", "2026-03-03")
    assert "2026-03-03T09:00:00Z" in open_now
    assert "2026-03-03T09:30:00Z" not in open_now
    other_day = await act(suite, made, move, suite.doctor(), starts_at="2026-03-04T09:00:00Z")
    assert other_day.status == 200
    assert "2026-03-03T09:30:00Z" in await suite.slots("2026-03-03", "2026-03-03")


async def test_a_move_may_overlap_itself(suite: Suite) -> None:
    await suite.set_hours(slot_minutes=60)
    made = await suite.booked("2026-03-03T10:00:00Z")
    await suite.set_hours(slot_minutes=30)
    answer = await act(suite, made, "reschedule", suite.patient(), starts_at="2026-03-03T10:30:00Z")
    assert (await answer.json())["ends_at"] == "2026-03-03T11:00:00Z"
    assert "2026-03-03T10:00:00Z" in await suite.slots("2026-03-03", "2026-03-03")


async def test_freeing_gives_back_what_was_claimed_not_what_todays_hours_say(suite: Suite) -> None:
    await suite.set_hours(buffer_after_minutes=30)
    made = await suite.booked("2026-03-03T09:00:00Z")
    await suite.set_hours(buffer_after_minutes=0)
    assert (await act(suite, made, "cancel", suite.patient())).status == 200
    busy = await suite.dynamodb.get_item(
        TableName=suite.table,
        Key={"user_id": {"S": "doctor#doc"}, "appointment_id": {"S": "day#2026-03-03"}},
    )
    assert "busy" not in busy["Item"]


async def test_versions_guard_changes(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked()

    async def cancel(if_match: str) -> ClientResponse:
        return await suite.client.post(
            f"/v1/appointments/{made['id']}/cancel",
            headers={**suite.patient(), "If-Match": if_match},
        )

    assert await code_of(await cancel('"2"')) == (412, "version_mismatch")
    assert await code_of(await cancel('W/"1"')) == (412, "version_mismatch")
    assert await code_of(await cancel("nonsense")) == (400, "bad_header")
    assert (await cancel('"7", "1"')).status == 200


async def test_concurrent_changes_have_one_order(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked()
    moves = [
        act(suite, made, "reschedule", suite.patient(), starts_at=f"2026-03-03T{time}:00Z")
        for time in ("09:30", "10:00", "10:30", "11:00", "11:30")
    ]
    answers = await asyncio.gather(*moves, act(suite, made, "cancel", suite.doctor()))
    assert {answer.status for answer in answers} <= {200, 409}
    assert answers[-1].status == 200
    assert len(await suite.slots("2026-03-03", "2026-03-03")) == 6


async def test_of_equal_changes_at_one_moment_one_happens(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked()
    to = {"starts_at": "2026-03-03T10:00:00Z"}
    moves = [act(suite, made, "reschedule", suite.patient(), **to) for _ in range(5)]
    assert sorted([answer.status for answer in await asyncio.gather(*moves)]) == [200] + [422] * 4
    cancels = [act(suite, made, "cancel", suite.patient()) for _ in range(5)]
    answers = await asyncio.gather(*cancels)
    assert sorted([answer.status for answer in answers]) == [200] + [409] * 4


async def test_what_is_not_yours_does_not_exist(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked()
    for path in (f"/v1/appointments/{made['id']}", f"/v1/appointments/{made['id']}/history"):
        hidden = await suite.client.get(path, headers=suite.patient("other"))
        absent = await suite.client.get(
            path.replace(made["id"], "x" * 40), headers=suite.patient("other")
        )
        assert hidden.status == absent.status == 404
        left, right = await hidden.json(), await absent.json()
        for varying in ("request_id", "instance"):
            left.pop(varying), right.pop(varying)
        assert left == right


async def test_lists_page_by_start(suite: Suite) -> None:
    await suite.set_hours()
    for day in (5, 3, 4):
        for hour in ("09", "10"):
            await suite.booked(f"2026-03-0{day}T{hour}:00:00Z")
    starts: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await suite.client.get(
            "/v1/appointments", params={"limit": "4", **cursor}, headers=suite.patient()
        )
        page = await answer.json()
        starts += [one["starts_at"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert starts == sorted(starts)
    assert len(starts) == 6

    async def count(who: dict[str, str], **query: str) -> int:
        answer = await suite.client.get("/v1/appointments", params=query, headers=who)
        assert answer.status == 200, await answer.text()
        return len((await answer.json())["items"])

    one_day = {"from": "2026-03-04", "to": "2026-03-04"}
    assert await count(suite.patient(), **one_day) == 2
    assert await count(suite.doctor(), **one_day) == 2
    assert await count(suite.doctor("other"), **one_day) == 0
    assert await count(suite.admin(), doctor_id="doc", status="booked") == 6
    assert await count(suite.admin(), patient_id="pat", status="cancelled") == 0
    assert await count(suite.patient(), to="2026-03-04T10:00:00Z") == 3
    refused = await suite.client.get("/v1/appointments", headers=suite.admin())
    assert refused.status == 422
    other = await suite.client.get(
        "/v1/appointments", params={"patient_id": "someone"}, headers=suite.patient()
    )
    assert other.status == 403
    tampered = await suite.client.get(
        "/v1/appointments", params={"cursor": cursor["cursor"][:-1]}, headers=suite.patient()
    )
    assert await code_of(tampered) == (422, "bad_cursor")


async def test_an_idempotency_key_gives_the_first_answer_again(suite: Suite) -> None:
    await suite.set_hours()
    key = {"Idempotency-Key": "k1"}
    first = await suite.book(headers=key)
    again = await suite.book(headers=key)
    assert (first.status, again.status) == (201, 201)
    assert await first.read() == await again.read()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Idempotency-Replayed" not in first.headers
    reused = await suite.book("2026-03-03T10:00:00Z", headers=key)
    assert await code_of(reused) == (422, "idempotency_key_reused")
    other = await suite.book("2026-03-03T10:00:00Z", patient="other", headers=key)
    assert other.status == 201
    suite.advance(hours=23)
    assert (await suite.book(headers=key)).headers["Idempotency-Replayed"] == "true"
    suite.advance(hours=2)
    assert (await suite.book(headers=key)).status == 409


async def test_a_refused_request_leaves_its_key_free(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked(patient="other")
    key = {"Idempotency-Key": "k1"}
    assert (await suite.book(headers=key)).status == 409
    assert (await act(suite, made, "cancel", suite.admin())).status == 200
    assert (await suite.book(headers=key)).status == 201


async def test_one_key_at_once_is_one_appointment(suite: Suite) -> None:
    await suite.set_hours()
    key = {"Idempotency-Key": "k1"}
    answers = await asyncio.gather(*(suite.book(headers=key) for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert len({await answer.read() for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1


async def test_a_moves_key_gives_the_first_answer_again(suite: Suite) -> None:
    await suite.set_hours()
    made = await suite.booked()
    headers = {**suite.patient(), "Idempotency-Key": "m1"}
    path = f"/v1/appointments/{made['id']}/reschedule"
    body = {"starts_at": "2026-03-03T10:00:00Z"}
    first = await suite.client.post(path, json=body, headers=headers)
    again = await suite.client.post(path, json=body, headers=headers)
    assert (first.status, again.status) == (200, 200)
    assert await first.read() == await again.read()
