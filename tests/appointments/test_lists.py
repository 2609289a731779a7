"""Lists: their bounds, their filters, and cursors that somebody else than we made."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse

from appointments_service.store import Selection
from servicekit.paging import encode_cursor
from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.faults import FaultyClient


async def starts(suite: Suite, **query: str) -> list[str]:
    answer = await suite.client.get("/v1/appointments", params=query, headers=suite.patient())
    assert answer.status == 200, await answer.text()
    return [one["starts_at"][11:19] for one in (await answer.json())["items"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"from": "2026-03-03T09:30:00Z"}, ["09:30:00", "10:00:00"]),
        ({"from": "2026-03-03T09:29:59.5Z"}, ["09:30:00", "10:00:00"]),
        ({"from": "2026-03-03T09:30:00.5Z"}, ["10:00:00"]),
        ({"to": "2026-03-03T09:30:00Z"}, ["09:00:00"]),
        ({"to": "2026-03-03T09:30:00.5Z"}, ["09:00:00", "09:30:00"]),
        ({"to": "2026-03-03T09:29:59.5Z"}, ["09:00:00"]),
        ({"from": "2026-03-03T09:30:00Z", "to": "2026-03-03T09:30:00Z"}, []),
        ({"from": "2026-03-03T09:30:00Z", "to": "2026-03-03T09:30:00.1Z"}, ["09:30:00"]),
        ({"from": "2026-03-04", "to": "2026-03-03"}, []),
        ({"to": "0001-01-01T00:00:00Z"}, []),
        ({"from": "9999-12-31T23:59:59.9Z"}, []),
        (
            {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"},
            ["09:00:00", "09:30:00", "10:00:00"],
        ),
    ],
)
async def test_a_span_begins_with_from_and_ends_before_to(
    suite: Suite, query: dict[str, str], found: list[str]
) -> None:
    await suite.set_hours()
    for time in ("09:00", "09:30", "10:00"):
        await suite.booked(f"2026-03-03T{time}:00Z")
    assert await starts(suite, **query) == found


NOT_OURS: list[Any] = [
    5,
    "2026-03-03",
    ["2026-03-03T09:00:00Z"],
    ["", "", ""],
    [1, 2, 3],
    {"starts_at": "2026-03-03T09:00:00Z"},
    ["2026-03-03T09:00:00Z", "another", "0" * 26],
    ["2026-03-02T23:59:59Z", "pat", "0" * 26],
    ["2026-03-04T00:00:00Z", "pat", "0" * 26],
]


async def test_a_forged_cursor_is_a_bad_one(suite: Suite) -> None:
    """Its digest is no secret's: whoever reads our code can make one."""
    await suite.set_hours()
    for hour in ("09", "10", "11"):
        await suite.booked(f"2026-03-03T{hour}:00:00Z")
    day = datetime(2026, 3, 3, tzinfo=UTC)
    name = f"appointments:patient:pat:{Selection(since=day, until=day + timedelta(days=1))}"

    async def page(position: Any) -> ClientResponse:
        params = {"from": "2026-03-03", "to": "2026-03-03", "cursor": encode_cursor(name, position)}
        return await suite.client.get("/v1/appointments", params=params, headers=suite.patient())

    behind = await page(["2026-03-03T10:00:00Z", "pat", "z" * 26])
    assert [one["starts_at"] for one in (await behind.json())["items"]] == ["2026-03-03T11:00:00Z"]
    for position in NOT_OURS:
        answer = await page(position)
        assert (answer.status, (await answer.json())["code"]) == (422, "bad_cursor"), position


@pytest.mark.parametrize("position", [5, [], [5], [""], {"a": 1}, ["2026-03-03", "more"]])
async def test_a_forged_cursor_of_overrides_is_a_bad_one(suite: Suite, position: Any) -> None:
    await suite.set_hours()
    await suite.client.put(
        "/v1/schedules/doc/overrides/2026-03-03", json={"closed": True}, headers=suite.doctor()
    )
    cursor = encode_cursor("overrides:doc:None:None", position)
    answer = await suite.client.get("/v1/schedules/doc/overrides", params={"cursor": cursor})
    assert (answer.status, (await answer.json())["code"]) == (422, "bad_cursor")


async def test_overrides_come_in_pages(suite: Suite) -> None:
    await suite.set_hours()
    for day in ("05", "03", "04"):
        path = f"/v1/schedules/doc/overrides/2026-03-{day}"
        await suite.client.put(path, json={"closed": True}, headers=suite.doctor())
    dates: list[str] = []
    params = {"limit": "2"}
    while True:
        answer = await suite.client.get("/v1/schedules/doc/overrides", params=params)
        page = await answer.json()
        dates += [one["date"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert dates == ["2026-03-03", "2026-03-04", "2026-03-05"]


async def test_a_filter_that_leaves_most_out_does_not_take_a_call_an_item(
    make_suite: MakeSuite, dynamodb: Any
) -> None:
    client = FaultyClient(dynamodb)
    suite = await make_suite(client)
    await suite.set_hours()
    made = [
        await suite.booked(f"2026-03-{day:02}T{hour:02}:00:00Z")
        for day in range(3, 7)
        for hour in (9, 10, 11)
    ]
    for one in made[5], made[11]:
        answer = await suite.client.post(
            f"/v1/appointments/{one['id']}/cancel", headers=suite.patient()
        )
        assert answer.status == 200
    client.calls.clear()
    found: list[str] = []
    params = {"limit": "1", "status": "cancelled"}
    while True:
        answer = await suite.client.get("/v1/appointments", params=params, headers=suite.patient())
        page = await answer.json()
        found += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == [made[5]["id"], made[11]["id"]]
    assert client.calls == ["query", "query"]
