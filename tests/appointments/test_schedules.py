"""Hours, overrides, and what they make of open times."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from appointments_service import schemas
from tests.appointments.conftest import Suite

NINE_TO_NOON = [{"start": "09:00", "end": "12:00"}]


async def put(
    suite: Suite, who: dict[str, str], doctor: str = "doc", **changes: Any
) -> ClientResponse:
    body = {"timezone": "UTC", "weekly": {"mon": NINE_TO_NOON}, "slot_minutes": 30, **changes}
    return await suite.client.put(f"/v1/schedules/{doctor}", json=body, headers=who)


async def refused(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, (await answer.json())["code"]


async def test_a_schedule_is_given_back_as_it_was_set(suite: Suite) -> None:
    suite.users.add_doctor("doc")
    answer = await put(suite, suite.doctor(), timezone="Europe/Berlin", buffer_after_minutes=15)
    assert answer.status == 200
    assert answer.headers["ETag"] == '"1"'
    read = await suite.client.get("/v1/schedules/doc")
    assert (
        await read.json()
        == await answer.json()
        == {
            "doctor_id": "doc",
            "timezone": "Europe/Berlin",
            "weekly": {"mon": NINE_TO_NOON, "tue": [], "wed": [], "thu": [], "fri": [], "sat": []}
            | {"sun": []},
            "slot_minutes": 30,
            "buffer_before_minutes": 0,
            "buffer_after_minutes": 15,
            "min_notice_minutes": 0,
            "horizon_days": 90,
            "version": 1,
        }
    )


async def test_what_was_read_can_be_put_back(suite: Suite) -> None:
    await suite.set_hours()
    read = await (await suite.client.get("/v1/schedules/doc")).json()
    answer = await suite.client.put("/v1/schedules/doc", json=read, headers=suite.doctor())
    assert (answer.status, (await answer.json())["version"]) == (200, 2)


async def test_who_may_set_hours(suite: Suite) -> None:
    suite.users.add_doctor("doc")
    assert (await put(suite, suite.doctor("other"))).status == 403
    assert (await put(suite, suite.patient("doc"))).status == 403
    assert (await put(suite, {})).status == 401
    assert (await put(suite, suite.admin())).status == 200
    assert await refused(await put(suite, suite.admin(), "nobody")) == (404, "not_found")
    missing = await suite.client.get("/v1/schedules/nobody")
    assert await refused(missing) == (404, "no_schedule")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weekly": {"mon": [{"start": "12:00", "end": "09:00"}]}}, "bad_schedule"),
        ({"weekly": {"mon": [{"start": "09:00", "end": "09:00"}]}}, "bad_schedule"),
        ({"weekly": {"mon": [*NINE_TO_NOON, {"start": "11:55", "end": "13:00"}]}}, "bad_schedule"),
        ({"weekly": {"mon": [{"start": "09:03", "end": "12:00"}]}}, "validation_failed"),
        ({"weekly": {"mon": [{"start": "24:00", "end": "24:05"}]}}, "validation_failed"),
        ({"weekly": {"mon": [{"start": "9:00", "end": "12:00"}]}}, "validation_failed"),
        ({"weekly": {"monday": NINE_TO_NOON}}, "validation_failed"),
        ({"timezone": "Mars/Olympus"}, "validation_failed"),
        ({"timezone": "../../etc/passwd"}, "validation_failed"),
        ({"slot_minutes": 0}, "validation_failed"),
        ({"slot_minutes": 7}, "validation_failed"),
        ({"slot_minutes": 245}, "validation_failed"),
        ({"slot_minutes": "30"}, "validation_failed"),
        ({"slot_minutes": 30.5}, "validation_failed"),
        ({"buffer_before_minutes": 65}, "validation_failed"),
        ({"min_notice_minutes": 43_205}, "validation_failed"),
        ({"horizon_days": 731}, "validation_failed"),
        ({"surprise": 1}, "validation_failed"),
    ],
)
async def test_hours_that_are_refused(suite: Suite, changes: dict[str, Any], code: str) -> None:
    suite.users.add_doctor("doc")
    assert await refused(await put(suite, suite.doctor(), **changes)) == (422, code)
    assert (await suite.client.get("/v1/schedules/doc")).status == 404


async def test_an_override_rules_its_date_until_it_is_removed(suite: Suite) -> None:
    await suite.set_hours()
    path = "/v1/schedules/doc/overrides/2026-03-04"

    async def override(**body: Any) -> ClientResponse:
        return await suite.client.put(path, json=body, headers=suite.doctor())

    hours = [{"start": "15:00", "end": "16:00"}]
    answer = await override(hours=hours)
    made = await answer.json()
    assert (answer.status, made["hours"], made["closed"]) == (200, hours, False)
    assert answer.headers["ETag"] == f'"{made["version"]}"'
    assert await suite.slots("2026-03-04", "2026-03-04") == [
        "2026-03-04T15:00:00Z",
        "2026-03-04T15:30:00Z",
    ]
    assert (await suite.book("2026-03-04T09:00:00Z")).status == 422
    assert (await (await override(closed=True)).json())["closed"] is True
    assert await suite.slots("2026-03-04", "2026-03-04") == []
    listed = await suite.client.get("/v1/schedules/doc/overrides", params={"from": "2026-03-01"})
    assert [one["date"] for one in (await listed.json())["items"]] == ["2026-03-04"]
    stale = await suite.client.delete(path, headers={**suite.doctor(), "If-Match": '"1"'})
    assert await refused(stale) == (412, "version_mismatch")
    assert (await suite.client.delete(path, headers=suite.doctor())).status == 204
    assert len(await suite.slots("2026-03-04", "2026-03-04")) == 6
    assert (await suite.client.delete(path, headers=suite.doctor())).status == 404


@pytest.mark.parametrize(
    "body", [{}, {"closed": False}, {"closed": True, "hours": NINE_TO_NOON}, {"hours": [{}]}]
)
async def test_overrides_that_are_refused(suite: Suite, body: dict[str, Any]) -> None:
    await suite.set_hours()
    answer = await suite.client.put(
        "/v1/schedules/doc/overrides/2026-03-04", json=body, headers=suite.doctor()
    )
    assert answer.status == 422


@pytest.mark.parametrize("date", ["2026-02-30", "20260304", "tomorrow", "2026-3-4", "-001-01-01"])
async def test_dates_that_are_none(suite: Suite, date: str) -> None:
    await suite.set_hours()
    answer = await suite.client.put(
        f"/v1/schedules/doc/overrides/{date}", json={"closed": True}, headers=suite.doctor()
    )
    assert await refused(answer) == (422, "validation_failed")
    listed = await suite.client.get(
        "/v1/schedules/doc/slots", params={"from": date, "to": "2026-03-04"}
    )
    assert await refused(listed) == (422, "validation_failed")


async def test_changes_at_once_each_get_a_version_of_their_own(suite: Suite) -> None:
    await suite.set_hours()
    answers = await asyncio.gather(
        *(
            suite.client.put(
                f"/v1/schedules/doc/overrides/2026-04-0{n}",
                json={"closed": True},
                headers=suite.doctor(),
            )
            for n in range(1, 5)
        )
    )
    versions = [(await answer.json())["version"] for answer in answers]
    assert sorted(versions) == [2, 3, 4, 5]
    guarded = [
        await put(suite, {**suite.doctor(), "If-Match": '"5"'}),
        await put(suite, {**suite.doctor(), "If-Match": '"5"'}),
    ]
    assert [answer.status for answer in guarded] == [200, 412]


@pytest.mark.parametrize(
    ("first", "last", "status"),
    [
        ("2026-03-02", "2026-05-02", 200),
        ("2026-03-02", "2026-05-03", 422),
        ("2026-03-03", "2026-03-02", 422),
        ("0001-01-01", "0001-01-31", 200),
        ("9999-12-01", "9999-12-31", 200),
        ("2025-12-20", "2026-02-01", 200),
    ],
)
async def test_ranges_of_open_times(suite: Suite, first: str, last: str, status: int) -> None:
    await suite.set_hours()
    params = {"from": first, "to": last}
    answer = await suite.client.get("/v1/schedules/doc/slots", params=params)
    assert answer.status == status


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"])
async def test_explaining_the_ends_of_time(suite: Suite, moment: str) -> None:
    await suite.set_hours()
    answer = await suite.client.get("/v1/schedules/doc/explain", params={"starts_at": moment})
    assert answer.status in (200, 422)


async def test_explain_says_what_booking_would_answer(suite: Suite) -> None:
    await suite.set_hours()
    await suite.booked("2026-03-03T09:00:00Z")

    async def code(starts_at: str, doctor: str = "doc", **headers: str) -> str | None:
        answer = await suite.client.get(
            f"/v1/schedules/{doctor}/explain", params={"starts_at": starts_at}, headers=headers
        )
        document = await answer.json()
        assert answer.status == 200
        assert document["bookable"] == (document["code"] is None)
        found: str | None = document["code"]
        return found

    assert await code("2026-03-03T09:00:00Z") == "slot_taken"
    assert await code("2026-03-03T09:30:00Z") is None
    assert await code("2026-03-03T10:30:00 01:00") is None
    assert await code("2026-03-03T09:00:00Z", "nobody") == "unknown_doctor"
    suite.users.add_doctor("idle")
    assert await code("2026-03-03T09:00:00Z", "idle") == "doctor_unavailable"
    await suite.set_hours("doc2")
    assert await code("2026-03-03T09:00:00Z", "doc2", **suite.patient()) == "patient_busy"
    assert await code("2026-03-03T09:00:00Z", "doc2", **suite.patient("other")) is None


async def test_the_fast_text_of_open_times_is_the_models(suite: Suite) -> None:
    await suite.set_hours()
    await suite.booked("2026-03-03T09:30:00Z")
    answer = await suite.client.get(
        "/v1/schedules/doc/slots", params={"from": "2026-03-02", "to": "2026-03-04"}
    )
    raw = await answer.read()
    assert schemas.Slots.model_validate_json(raw).model_dump_json().encode() == raw
    assert len(schemas.Slots.model_validate_json(raw).slots) == 17


async def test_a_bad_token_is_refused_where_none_is_needed(suite: Suite) -> None:
    await suite.set_hours()
    answer = await suite.client.get(
        "/v1/schedules/doc/slots",
        params={"from": "2026-03-02", "to": "2026-03-04"},
        headers={"Authorization": "Bearer nonsense"},
    )
    assert await refused(answer) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
