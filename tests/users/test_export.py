"""All that is stored of a person, whole or not at all."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from sqlalchemy import insert

from servicekit.testing import FakeClock
from tests.users.api import Api, Person
from tests.users.conftest import settings_for
from tests.users.neighbours import FakeNeighbours
from users_service.handlers import closing
from users_service.settings import UsersSettings
from users_service.store_mysql import MySQLStore
from users_service.store_mysql.tables import second_factors

EXPORT = "/v1/users/me/export"
ROUTES = ["GET /v1/appointments", "GET /v1/appointments/{id}/history", "GET /v1/files"]


@pytest.fixture
def settings(database_url: str, neighbours_url: str) -> UsersSettings:
    return settings_for(database_url, appointments_url=neighbours_url, files_url=neighbours_url)


async def patient_with(api: Api, neighbours: FakeNeighbours, count: int) -> Person:
    zoe = await api.patient(full_name="Zoe", phone="12345", birth_date="1990-01-31")
    neighbours.patient = zoe.id
    neighbours.appointments[zoe.id] = [f"a{n}" for n in range(count)]
    return zoe


async def test_it_is_all_there(
    api: Api, neighbours: FakeNeighbours, store: MySQLStore, clock: FakeClock
) -> None:
    zoe = await patient_with(api, neighbours, 5)
    row = {"user_id": zoe.id, "sealed": "never told", "created_at": clock()}
    await store._database.execute(insert(second_factors), row)
    answer = await api.call("GET", EXPORT, by=zoe)
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="export.json"'
    assert answer.headers["Cache-Control"] == "no-store"
    found = await answer.json()
    assert found["account"] == await api.ok("GET", "/v1/users/me", by=zoe)
    assert found["exported_at"] == "2026-03-02T08:00:00Z"
    assert found["doctor"] is None
    assert found["second_factor"] == {"created_at": "2026-03-02T08:00:00Z", "confirmed_at": None}
    assert [session["created_at"] for session in found["sessions"]] == ["2026-03-02T08:00:00Z"]
    assert found["appointments"] == [
        {
            "id": f"a{n}",
            "reason": "checkup",
            "history": [{"note": f"of a{n}"}],
            "files": [{"id": f"a{n}-file-{m}"} for m in range(3)],
        }
        for n in range(5)
    ]
    assert set(neighbours.tokens) == {zoe.token}
    assert "never told" not in await answer.text()


async def test_of_a_doctor_it_is_the_profile_and_nobody_elses_appointments(
    api: Api, neighbours: FakeNeighbours
) -> None:
    bob = await api.staff("doctor", by=await api.admin())
    described = {"specialty": "Cardiology", "bio": "Hearts.", "accepting_patients": True}
    await api.ok("PUT", f"/v1/doctors/{bob.id}", described, by=bob)
    found = await api.ok("GET", EXPORT, by=bob)
    assert found["doctor"] == await api.ok("GET", f"/v1/doctors/{bob.id}")
    assert found["appointments"] == []
    assert neighbours.asked == []


@pytest.mark.parametrize("route", ROUTES)
async def test_it_is_refused_while_another_service_is_away(
    api: Api, neighbours: FakeNeighbours, route: str
) -> None:
    zoe = await patient_with(api, neighbours, 3)
    neighbours.away = {route}
    answer = await api.refused(503, "neighbour_unavailable", "GET", EXPORT, by=zoe)
    assert "Retry-After" in answer.headers
    neighbours.away.clear()
    neighbours.answers = {route: {"items": None}}
    await api.refused(503, "neighbour_unavailable", "GET", EXPORT, by=zoe)
    neighbours.answers.clear()
    assert len((await api.ok("GET", EXPORT, by=zoe))["appointments"]) == 3


async def test_a_large_one_is_sent_as_it_comes_and_cut_off_where_it_fails(
    api: Api, neighbours: FakeNeighbours
) -> None:
    zoe = await patient_with(api, neighbours, 40)
    neighbours.reason = "x" * 20_000
    answer = await api.call("GET", EXPORT, by=zoe, headers={"X-Request-Id": "mine"})
    assert (answer.status, answer.headers["X-Request-Id"]) == (200, "mine")
    assert "Content-Length" not in answer.headers
    found = await answer.json()
    assert [one["id"] for one in found["appointments"]] == [f"a{n}" for n in range(40)]
    head = await api.call("HEAD", EXPORT, by=zoe)
    assert (head.status, await head.read()) == (200, b"")

    async def fail_late(appointment_id: str) -> None:
        if appointment_id == "a30":
            neighbours.away = {ROUTES[1]}

    neighbours.hooks[ROUTES[1]] = fail_late
    with pytest.raises(aiohttp.ClientPayloadError):
        await api.call("GET", EXPORT, by=zoe)
    assert (await api.call("GET", "/v1/users/me", by=zoe)).status == 200


@pytest.mark.parametrize("reason", ["checkup", "x" * 200_000])
async def test_it_does_not_take_for_ever(
    api: Api, neighbours: FakeNeighbours, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    zoe = await patient_with(api, neighbours, 10)
    neighbours.reason = reason
    monkeypatch.setattr(closing, "EXPORT_SECONDS", 0.5)

    async def hang(appointment_id: str) -> None:
        if appointment_id == "a8":
            await asyncio.Event().wait()

    neighbours.hooks[ROUTES[1]] = hang
    if reason == "checkup":
        await api.refused(503, "deadline_exceeded", "GET", EXPORT, by=zoe)
    else:
        with pytest.raises(aiohttp.ClientPayloadError):
            await api.call("GET", EXPORT, by=zoe)


async def test_only_ones_own(api: Api) -> None:
    await api.refused(401, "invalid_token", "GET", EXPORT)
    first, second = await api.patient(), await api.patient()
    exported: Any = await api.ok("GET", EXPORT, by=first)
    assert second.id not in json.dumps(exported)
