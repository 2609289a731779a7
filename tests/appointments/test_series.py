"""Series, as callers see them: all or none, by the clock on the wall."""

import asyncio
from collections import Counter
from typing import Any

from aiohttp import ClientResponse

from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.faults import WRITE, FaultyClient
from tests.tools.audits import audited

SERIES = "/v1/appointments/series"


async def ask(
    suite: Suite,
    starts_at: str = "2026-03-03T09:00:00Z",
    *,
    patient: str = "pat",
    headers: dict[str, str] | None = None,
    **body: Any,
) -> ClientResponse:
    wanted = {"doctor_id": "doc", "starts_at": starts_at, "every_weeks": 1, "count": 4, **body}
    who = {**suite.patient(patient), **(headers or {})}
    return await suite.client.post(SERIES, json=wanted, headers=who)


async def made(suite: Suite, starts_at: str = "2026-03-03T09:00:00Z", **more: Any) -> list[Any]:
    answer = await ask(suite, starts_at, **more)
    assert answer.status == 201, await answer.text()
    items: list[Any] = (await answer.json())["items"]
    return items


def starts(items: list[Any]) -> list[str]:
    return [one["starts_at"] for one in items]


async def conflicts(answer: ClientResponse) -> list[tuple[str, str]]:
    body = await answer.json()
    assert (answer.status, body["code"]) == (409, "series_conflict"), body
    return [(one["starts_at"], one["code"]) for one in body["conflicts"]]


async def cancel(
    suite: Suite, one: Any, who: dict[str, str] | None = None, **body: Any
) -> ClientResponse:
    path = f"/v1/appointments/{one['id']}/cancel"
    return await suite.client.post(path, json=body, headers=who or suite.patient())


async def statuses(suite: Suite, patient: str = "pat") -> list[tuple[str, str]]:
    answer = await suite.client.get("/v1/appointments", headers=suite.patient(patient))
    return [(one["starts_at"][:10], one["status"]) for one in (await answer.json())["items"]]


async def test_the_same_weekday_and_time_every_so_many_weeks(suite: Suite) -> None:
    await suite.set_hours()
    items = await made(suite, every_weeks=2, count=3, reason="physio")
    assert starts(items) == [f"2026-03-{day}T09:00:00Z" for day in ("03", "17", "31")]
    assert {one["reason"] for one in items} == {"physio"}
    [series_id] = {one["series_id"] for one in items}
    assert series_id
    for one in items:
        read = await suite.client.get(f"/v1/appointments/{one['id']}", headers=suite.doctor())
        assert await read.json() == one
    assert (await suite.booked("2026-03-10T09:00:00Z"))["series_id"] is None
    assert (await audited(suite)).breaches == []


async def test_the_wall_clock_s_time_is_kept_over_a_change_of_clocks(suite: Suite) -> None:
    await suite.set_hours(timezone="Europe/Berlin")
    items = await made(suite, "2026-03-23T09:00:00+01:00", count=3)
    assert starts(items) == [
        "2026-03-23T08:00:00Z",
        "2026-03-30T07:00:00Z",
        "2026-04-06T07:00:00Z",
    ]


async def test_a_time_that_the_clocks_skip_is_outside_of_all_hours(suite: Suite) -> None:
    hours = {"sun": [{"start": "00:00", "end": "24:00"}]}
    await suite.set_hours(timezone="Europe/Berlin", weekly=hours)
    answer = await ask(suite, "2026-03-22T02:30:00+01:00", count=2)
    assert await conflicts(answer) == [("2026-03-29T01:30:00Z", "outside_hours")]


async def test_of_a_time_that_the_clocks_repeat_it_is_the_first(suite: Suite) -> None:
    hours = {"sun": [{"start": "00:00", "end": "24:00"}]}
    await suite.set_hours(timezone="Europe/Berlin", weekly=hours, horizon_days=300)
    items = await made(suite, "2026-10-18T02:30:00+02:00", count=3)
    assert starts(items) == [
        "2026-10-18T00:30:00Z",
        "2026-10-25T00:30:00Z",
        "2026-11-01T01:30:00Z",
    ]


async def test_all_that_is_in_the_way_is_told_at_once(suite: Suite) -> None:
    await suite.set_hours(horizon_days=30)
    await suite.set_hours("doc2")
    await suite.booked("2026-03-10T09:00:00Z", patient="other")
    await suite.booked("2026-03-17T09:00:00Z", doctor="doc2")
    answer = await suite.client.put(
        "/v1/schedules/doc/overrides/2026-03-24", json={"closed": True}, headers=suite.doctor()
    )
    assert answer.status == 200
    before = await statuses(suite)
    expected = [
        ("2026-03-10T09:00:00Z", "slot_taken"),
        ("2026-03-17T09:00:00Z", "patient_busy"),
        ("2026-03-24T09:00:00Z", "outside_hours"),
        ("2026-04-07T09:00:00Z", "too_far"),
    ]
    assert await conflicts(await ask(suite, count=6)) == expected
    assert await statuses(suite) == before
    for starts_at, code in expected:
        assert (await (await suite.book(starts_at)).json())["code"] == code
    shifted = [f"2026-03-{day}T09:10:00Z" for day in ("03", "10")]
    answer = await ask(suite, shifted[0], count=2)
    assert await conflicts(answer) == [(start, "misaligned") for start in shifted]


async def test_the_ends_of_the_calendar(suite: Suite) -> None:
    await suite.set_hours(timezone="Pacific/Auckland")
    last, first = "9999-12-31T23:00:00Z", "0001-01-01T00:00:00Z"
    assert await conflicts(await ask(suite, last)) == [(last, "too_far")]
    assert (await conflicts(await ask(suite, first)))[0] == (first, "too_soon")
    await suite.set_hours(timezone="America/New_York")
    assert await conflicts(await ask(suite, first)) == [(first, "too_soon")]


async def test_who_may_and_what_is_refused(suite: Suite) -> None:
    await suite.set_hours()
    suite.users.add_patient("ana", "Ana")
    for who, expected in (
        (suite.admin(), 201),
        (suite.doctor(), 409),
        (suite.doctor("other"), 403),
        (suite.patient("pat"), 403),
    ):
        assert (await ask(suite, headers=who, patient_id="ana")).status == expected
    assert (await ask(suite, headers=suite.admin())).status == 422
    limits: tuple[dict[str, Any], ...] = (
        {"count": 13},
        {"count": 0},
        {"every_weeks": 0},
        {"every_weeks": 53},
    )
    for bad in limits:
        assert (await ask(suite, **bad)).status == 422
    unknown = await ask(suite, doctor_id="nobody")
    assert (unknown.status, (await unknown.json())["code"]) == (422, "unknown_doctor")
    suite.users.add_doctor("idle")
    idle = await ask(suite, doctor_id="idle")
    assert (idle.status, (await idle.json())["code"]) == (422, "doctor_unavailable")


async def test_twelve_over_midnight_are_one_call(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    hours = {"tue": [{"start": "00:00", "end": "24:00"}]}
    await suite.set_hours(weekly=hours, buffer_before_minutes=10, buffer_after_minutes=10)
    await suite.slots("2026-03-03", "2026-03-03")
    faulty.calls.clear()
    items = await made(suite, "2026-03-03T00:00:00Z", count=12)
    assert faulty.calls == [WRITE]
    faulty.calls.clear()
    assert (await cancel(suite, items[0], series="remaining")).status == 200
    assert faulty.calls == ["get_item", "query", WRITE]
    assert (await audited(suite)).breaches == []


async def test_the_first_answer_again_byte_for_byte(suite: Suite) -> None:
    await suite.set_hours()
    key = {"Idempotency-Key": "one"}
    answers = await asyncio.gather(*(ask(suite, headers=key) for _ in range(8)))
    assert [answer.status for answer in answers] == [201] * 8
    assert len({await answer.read() for answer in answers}) == 1
    replayed = Counter("Idempotency-Replayed" in answer.headers for answer in answers)
    assert replayed == {False: 1, True: 7}
    assert {answer.headers.get("ETag") for answer in answers} == {None}
    assert len(await statuses(suite)) == 4
    other = await ask(suite, headers=key, count=3)
    assert (other.status, (await other.json())["code"]) == (422, "idempotency_key_reused")
    assert (await audited(suite)).breaches == []


async def test_a_refused_series_may_be_tried_again_with_its_key(suite: Suite) -> None:
    await suite.set_hours()
    other = await suite.booked("2026-03-10T09:00:00Z", patient="other")
    key = {"Idempotency-Key": "one"}
    assert await conflicts(await ask(suite, headers=key)) == [
        ("2026-03-10T09:00:00Z", "slot_taken")
    ]
    assert (await cancel(suite, other, suite.admin())).status == 200
    assert (await ask(suite, headers=key)).status == 201


async def test_of_many_series_at_once_one_wins_whole(suite: Suite) -> None:
    await suite.set_hours()
    answers = await asyncio.gather(
        *(ask(suite, f"2026-03-{3 + 7 * (n % 3):02}T09:00:00Z", patient=f"p{n}") for n in range(12))
    )
    won = [n for n, answer in enumerate(answers) if answer.status == 201]
    assert won
    for n, answer in enumerate(answers):
        booked = await statuses(suite, f"p{n}")
        if n in won:
            assert len(booked) == 4
        else:
            assert booked == []
            assert await conflicts(answer)
    assert (await audited(suite)).breaches == []


async def test_all_that_remain_are_cancelled_together(suite: Suite) -> None:
    await suite.set_hours()
    items = await made(suite, count=5)
    assert (await cancel(suite, items[3])).status == 200
    path = f"/v1/appointments/{items[4]['id']}/reschedule"
    moved = await suite.client.post(
        path, json={"starts_at": "2026-03-17T09:30:00Z"}, headers=suite.patient()
    )
    assert (await moved.json())["series_id"] == items[0]["series_id"]
    alone = await suite.booked("2026-03-24T11:00:00Z")
    answer = await cancel(suite, items[1], suite.doctor(), series="remaining", reason="moved away")
    cancelled = await answer.json()
    assert (answer.status, cancelled["id"], cancelled["version"]) == (200, items[1]["id"], 2)
    assert await statuses(suite) == [
        ("2026-03-03", "booked"),
        ("2026-03-10", "cancelled"),
        ("2026-03-17", "cancelled"),
        ("2026-03-17", "cancelled"),
        ("2026-03-24", "cancelled"),
        ("2026-03-24", "booked"),
    ]
    history = await suite.client.get(
        f"/v1/appointments/{items[2]['id']}/history", headers=suite.patient()
    )
    assert (await history.json())["items"][-1]["note"] == "moved away"
    refused = await cancel(suite, items[1], series="remaining")
    assert (refused.status, (await refused.json())["code"]) == (409, "wrong_status")
    refused = await cancel(suite, alone, series="remaining")
    assert (refused.status, (await refused.json())["code"]) == (422, "validation_failed")
    assert (await cancel(suite, items[0], series="all")).status == 422
    assert (await audited(suite)).breaches == []


async def test_cancelling_the_rest_meets_changes_of_each(suite: Suite) -> None:
    await suite.set_hours()
    items = await made(suite)
    stale = await cancel(
        suite, items[0], {**suite.patient(), "If-Match": '"7"'}, series="remaining"
    )
    assert stale.status == 412
    answers = await asyncio.gather(
        *(cancel(suite, one) for one in items[1:]),
        cancel(suite, items[0], series="remaining"),
    )
    assert answers[-1].status == 200
    assert {status for _, status in await statuses(suite)} == {"cancelled"}
    assert (await audited(suite)).breaches == []


async def test_a_series_and_bookings_of_one_of_its_times_at_once(suite: Suite) -> None:
    await suite.set_hours()
    answers = await asyncio.gather(
        ask(suite), *(suite.book("2026-03-17T09:00:00Z", patient=f"p{n}") for n in range(6))
    )
    assert sorted(answer.status for answer in answers) == [201] + [409] * 6
    if answers[0].status == 409:
        assert await conflicts(answers[0]) == [("2026-03-17T09:00:00Z", "slot_taken")]
    assert (await audited(suite)).breaches == []
