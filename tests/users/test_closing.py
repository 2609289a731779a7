"""Closing one's own account: nobody knows of it any more, and nothing personal stays."""

import asyncio
from datetime import timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import insert, select

from servicekit.testing import FakeClock
from tests.users.api import PASSWORD, Api, Person
from tests.users.conftest import Instance, settings_for
from tests.users.neighbours import ERASE_APPOINTMENTS, ERASE_FILES, FakeNeighbours
from users_service.domain.erasures import LEASE
from users_service.settings import UsersSettings
from users_service.store_mysql import MySQLStore
from users_service.store_mysql.tables import (
    metadata,
    password_resets,
    recovery_codes,
    refresh_families,
    registrations,
    second_factors,
    users,
)

ME = "/v1/users/me"
PERSONAL = {
    "email": "zoe.personal@example.org",
    "full_name": "Zoe Personal",
    "phone": "+351 912 345 678",
    "birth_date": "1990-01-31",
}


@pytest.fixture
def settings(database_url: str, neighbours_url: str) -> UsersSettings:
    return settings_for(database_url, appointments_url=neighbours_url, files_url=neighbours_url)


async def everything(store: MySQLStore) -> str:
    """All rows of all tables."""
    tables = metadata.sorted_tables
    return "\n".join([str(await store._database.fetch(select(table))) for table in tables])


async def close(api: Api, person: Person) -> None:
    assert (await api.call("DELETE", ME, by=person)).status == 204


async def test_nobody_knows_of_it_any_more(api: Api) -> None:
    admin = await api.admin()
    doctor = await api.staff("doctor", by=admin)
    zoe = await api.patient(**PERSONAL)
    await close(api, zoe)
    account = f"/v1/users/{zoe.id}"
    await api.refused(401, "invalid_token", "GET", ME, by=zoe)
    await api.refused(401, "invalid_token", "DELETE", ME, by=zoe)
    for by in (admin, doctor):
        await api.refused(404, "not_found", "GET", account, by=by)
    for body in ({"phone": "12345"}, {"status": "active"}):
        await api.refused(404, "not_found", "PATCH", account, body, by=admin)
    for query in ("", "?status=disabled", "?q=closed", "?q=Personal", f"?q={zoe.id}"):
        listed = await api.ok("GET", f"/v1/users{query}", by=admin)
        assert zoe.id not in [user["id"] for user in listed["items"]]
    for email in (zoe.email, f"closed:{zoe.id}"):
        for password in (PASSWORD, ""):
            assert (await api.login(email, password or "x")).status == 401
    body = {"refresh_token": zoe.refresh}
    await api.refused(401, "invalid_refresh_token", "POST", "/v1/auth/refresh", body)


async def test_nothing_personal_stays_and_the_address_is_free(
    api: Api, store: MySQLStore, clock: FakeClock
) -> None:
    zoe = await api.patient(**PERSONAL)
    of_user, digest, now = {"user_id": zoe.id}, {"token_digest": "d" * 64}, clock()
    due = {"expires_at": now}
    for table, row in (
        (password_resets, {**of_user, **digest, **due}),
        (second_factors, {**of_user, "sealed": "sealed-secret", "created_at": now}),
        (recovery_codes, {**of_user, "code_digest": "c" * 64}),
        (
            registrations,
            {
                **PERSONAL,
                **digest,
                **due,
                "timezone": "UTC",
                "password_hash": "",
                "birth_date": None,
            },
        ),
    ):
        await store._database.execute(insert(table), row)
    await store._database.execute(refresh_families.update().values(client="Zoe's telephone"))
    traces = [*PERSONAL.values(), "1990, 1, 31", "telephone", "sealed-secret", "d" * 64, "c" * 64]
    assert len([trace for trace in traces if trace in await everything(store)]) >= 8

    await close(api, zoe)

    left = (await everything(store)).lower()
    assert [trace for trace in (*traces, "personal") if trace.lower() in left] == []
    assert left.count("argon2") == 1  # the admin's
    kept = (await store._database.fetch(select(users).where(users.c.id == zoe.id)))[0]
    assert (kept.status, kept.closed_at, kept.password_hash) == ("disabled", now, "")
    families = await store._database.fetch(select(refresh_families.c.ended_at))
    assert [family.ended_at for family in families] == [now]
    again = await api.patient(**PERSONAL)
    assert again.id != zoe.id


async def test_only_in_the_version_that_is_named(api: Api) -> None:
    zoe = await api.patient()
    await api.refused(412, "version_mismatch", "DELETE", ME, by=zoe, headers={"If-Match": '"7"'})
    version = (await api.ok("GET", ME, by=zoe))["version"]
    answer = await api.call("DELETE", ME, by=zoe, headers={"If-Match": f'"{version}"'})
    assert answer.status == 204
    await api.refused(401, "invalid_token", "DELETE", ME)


async def test_the_last_admin_stays(api: Api) -> None:
    first = await api.admin()
    await api.refused(409, "last_admin", "DELETE", ME, by=first)
    assert (await api.ok("GET", ME, by=first))["status"] == "active"
    second = await api.staff("admin", by=first)
    answers = await asyncio.gather(*(api.call("DELETE", ME, by=one) for one in (first, second)))
    assert sorted(answer.status for answer in answers) == [204, 409]


async def test_twice_at_once_is_once(api: Api) -> None:
    zoe = await api.patient()
    answers = await asyncio.gather(*(api.call("DELETE", ME, by=zoe) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [204, 401, 401, 401, 401]


async def test_a_change_at_the_same_time_brings_nothing_back(api: Api, store: MySQLStore) -> None:
    admin = await api.admin()
    for _ in range(5):
        zoe = await api.patient(full_name="Before")
        changes = [
            api.call("PATCH", path, {"full_name": f"Zoé {n}", "phone": "+351 999"}, by=by)
            for n, (path, by) in enumerate(
                [
                    (ME, zoe),
                    (f"/v1/users/{zoe.id}", admin),
                    (ME, zoe),
                    (f"/v1/users/{zoe.id}", admin),
                ]
            )
        ]
        answers = await asyncio.gather(*changes[:2], api.call("DELETE", ME, by=zoe), *changes[2:])
        assert answers[2].status == 204
        assert {answer.status for answer in answers} <= {200, 204, 401, 404}
    left = await everything(store)
    # Neither can come by chance, in what is random there in base64.
    assert "Zoé" not in left
    assert "+351 999" not in left


async def test_a_doctor_leaves_the_directory_once_every_lease_has_lapsed(
    api: Api, waits: list[float]
) -> None:
    admin = await api.admin()
    bob = await api.staff("doctor", by=admin, full_name="Dr. Robert")
    page = f"/v1/doctors/{bob.id}"
    await api.ok("GET", page)
    waits.clear()
    await close(api, bob)
    assert waits == [1]
    await api.refused(404, "not_found", "GET", page)
    described = {"specialty": "x", "bio": "", "accepting_patients": True}
    await api.refused(404, "not_found", "PUT", page, described, by=admin)
    assert (await api.ok("GET", "/v1/doctors"))["items"] == []
    waits.clear()
    await close(api, await api.patient())
    assert waits == []


async def test_the_others_are_told_at_once_with_a_token_for_just_that(
    api: Api, neighbours: FakeNeighbours
) -> None:
    asked = asyncio.Event()

    async def note(_: str) -> None:
        asked.set()

    neighbours.hooks[ERASE_APPOINTMENTS] = note
    zoe = await api.patient()
    await close(api, zoe)
    async with asyncio.timeout(10):  # the worker itself would look after 15 seconds
        await asked.wait()
    assert neighbours.subjects(ERASE_APPOINTMENTS) == [zoe.id]
    keys = (await api.ok("GET", "/.well-known/jwks.json"))["keys"]
    claims: Any = jwt.decode(
        neighbours.tokens[-1],
        jwt.PyJWK(keys[0]),
        algorithms=["RS256"],
        audience="appointments-platform",
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    assert (claims["sub"], claims["role"], claims["scope"]) == ("users", "service", "erase")


async def test_another_instance_goes_on_where_one_was_killed(
    api: Api, instance: Instance, neighbours: FakeNeighbours, clock: FakeClock
) -> None:
    zoe = await api.patient()
    neighbours.appointments[zoe.id] = ["a1", "a2"]
    reached, done = asyncio.Event(), asyncio.Event()

    async def hang(appointment_id: str) -> None:
        if appointment_id == "a2" and not reached.is_set():
            reached.set()
            await asyncio.Event().wait()

    async def note(_: str) -> None:
        done.set()

    neighbours.hooks = {ERASE_FILES: hang, ERASE_APPOINTMENTS: note}
    await close(api, zoe)
    async with asyncio.timeout(10):
        await reached.wait()
    await api.client.close()
    assert neighbours.subjects(ERASE_APPOINTMENTS) == []
    clock.advance(LEASE)
    await instance()
    async with asyncio.timeout(10):
        await done.wait()
    assert neighbours.subjects(ERASE_FILES) == ["a1", "a2", "a1", "a2"]


async def test_how_many_are_not_done_is_counted_and_since_when(
    api: Api, neighbours: FakeNeighbours, clock: FakeClock
) -> None:
    assert await api.measured("erasures_pending") == 0
    assert await api.measured("erasures_oldest_seconds") == 0
    neighbours.away = {ERASE_APPOINTMENTS}
    await close(api, await api.patient())
    async with asyncio.timeout(10):
        while await api.measured("erasures_pending") != 1:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
    clock.advance(timedelta(hours=2))
    assert await api.measured("erasures_oldest_seconds") == 7200
