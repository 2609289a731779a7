"""What frees a time and who is told of it, and what a change of hours does to offers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.appointments.conftest import Suite
from tests.appointments.test_waitlist import (
    DAYS,
    ONE_SLOT,
    accept,
    cancel,
    full,
    joined,
    leave,
    refused,
    statuses,
    waits,
)
from tests.tools.audits import audited


async def by_cancelling(suite: Suite, taken: dict[str, Any]) -> None:
    await cancel(suite, taken)


async def by_moving(suite: Suite, taken: dict[str, Any]) -> None:
    path = f"/v1/appointments/{taken['id']}/reschedule"
    body = {"starts_at": "2026-03-05T09:00:00Z"}
    assert (await suite.client.post(path, json=body, headers=suite.admin())).status == 200


async def by_other_hours(suite: Suite, taken: dict[str, Any]) -> None:
    await suite.set_hours()


async def by_an_override(suite: Suite, taken: dict[str, Any]) -> None:
    path = "/v1/schedules/doc/overrides/2026-03-03"
    body = {"hours": [{"start": "15:00", "end": "16:00"}]}
    assert (await suite.client.put(path, json=body, headers=suite.doctor())).status == 200


Free = Callable[[Suite, dict[str, Any]], Awaitable[None]]


@pytest.mark.parametrize("free", [by_cancelling, by_moving, by_other_hours, by_an_override])
async def test_whoever_frees_a_time_tells_who_offers_it(suite: Suite, free: Free) -> None:
    """Without `fill`: no timer runs in the tests, so what is done was told of."""
    taken = await full(suite)
    await joined(suite)
    await free(suite, taken)
    await until_offered(suite, "pat")


@pytest.mark.parametrize("erased", [False, True])
async def test_whoever_gives_up_an_offer_tells_who_offers_it(suite: Suite, erased: bool) -> None:
    taken = await full(suite)
    entry = await joined(suite, "before")
    suite.advance(seconds=1)
    await joined(suite)
    await cancel(suite, taken)
    await until_offered(suite, "before")
    if erased:
        service = suite.auth("users", "service", scope="erase")
        await suite.client.post("/v1/appointments/erasures/before", headers=service)
    else:
        await leave(suite, entry, "before")
    await until_offered(suite, "pat")


async def until_offered(suite: Suite, patient: str) -> None:
    async with asyncio.timeout(30):
        while await statuses(suite, patient) == ["waiting"]:
            pass
    assert await statuses(suite, patient) == ["offered"]


async def test_a_change_of_hours_takes_the_offer_and_not_the_place(suite: Suite) -> None:
    taken = await full(suite)
    entry = await joined(suite, to="2026-03-04", **{"from": "2026-03-03"})
    await suite.booked("2026-03-04T09:00:00Z", patient="fourth")
    await cancel(suite, taken)
    await suite.fill()
    path = "/v1/schedules/doc/overrides/2026-03-03"
    answer = await suite.client.put(path, json={"closed": True}, headers=suite.doctor())
    assert answer.status == 200
    # It governs what begins after it was answered.
    await refused(await accept(suite, entry), 409, "offer_expired")
    await suite.fill()
    assert await statuses(suite, "pat") == ["waiting"]
    assert (await audited(suite)).breaches == []
    body = {"hours": [{"start": "14:00", "end": "14:30"}]}
    assert (await suite.client.put(path, json=body, headers=suite.doctor())).status == 200
    await suite.fill()
    [offered] = await waits(suite)
    assert offered["offer"]["starts_at"] == "2026-03-03T14:00:00Z"
    assert (await accept(suite, entry)).status == 201
    assert (await audited(suite)).breaches == []


async def test_an_offer_ends_before_the_doctors_notice_begins(suite: Suite) -> None:
    await suite.set_hours(weekly=dict.fromkeys(DAYS, ONE_SLOT), min_notice_minutes=24 * 60)
    entry = await joined(suite, to="2026-03-04", **{"from": "2026-03-03"})
    suite.advance(minutes=30)
    await suite.fill()
    [offered] = await waits(suite)
    assert offered["offer"]["expires_at"] == "2026-03-02T09:00:00Z"
    assert (await leave(suite, entry)).status == 204
    suite.advance(minutes=21)  # nine are left: nobody would answer within them
    await joined(suite, to="2026-03-04", **{"from": "2026-03-03"})
    await suite.fill()
    assert (await waits(suite))[1]["offer"]["starts_at"] == "2026-03-04T09:00:00Z"
