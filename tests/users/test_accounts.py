"""Accounts over HTTP: registering, one's own, the admins' list, and who may see whom."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from servicekit.testing import FakeClock
from tests.users.api import ADMIN_EMAIL, PASSWORD, Api
from tests.users.conftest import Instance

REGISTRATION = {"email": "Ana@Example.org", "password": PASSWORD, "full_name": "Ana Silva"}


async def test_a_registered_account_is_a_patient(api: Api) -> None:
    response = await api.call(
        "POST",
        "/v1/auth/register",
        {
            **REGISTRATION,
            "timezone": "Europe/Lisbon",
            "phone": "+351 912 345 678",
            "birth_date": "1990-02-28",
        },
    )
    assert response.status == 201
    user = await response.json()
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Location"] == f"/v1/users/{user['id']}"
    assert user == {
        "id": user["id"],
        "email": "Ana@Example.org",
        "full_name": "Ana Silva",
        "role": "patient",
        "timezone": "Europe/Lisbon",
        "phone": "+351 912 345 678",
        "birth_date": "1990-02-28",
        "status": "active",
        "version": 1,
        "created_at": "2026-03-02T08:00:00Z",
        "updated_at": "2026-03-02T08:00:00Z",
    }
    ana = await api.sign_in("ana@example.ORG")
    assert await api.ok("GET", "/v1/users/me", by=ana) == user


async def test_what_is_left_out_has_its_default(api: Api) -> None:
    user = await api.ok("POST", "/v1/auth/register", REGISTRATION)
    assert (user["timezone"], user["phone"], user["birth_date"]) == ("UTC", None, None)


async def test_an_address_in_another_case_is_taken(api: Api) -> None:
    await api.ok("POST", "/v1/auth/register", REGISTRATION)
    again = {**REGISTRATION, "email": "ANA@example.org"}
    await api.refused(409, "email_taken", "POST", "/v1/auth/register", again)
    # Not the same letter, so not the same address, whatever a collation thinks.
    await api.ok("POST", "/v1/auth/register", {**REGISTRATION, "email": "aná@example.org"})


async def test_of_registrations_at_once_one_wins(api: Api, instance: Instance) -> None:
    apis = [api, await instance()]
    answers = await asyncio.gather(
        *(apis[n % 2].call("POST", "/v1/auth/register", REGISTRATION) for n in range(10))
    )
    assert sorted(answer.status for answer in answers) == [201] + [409] * 9


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("email", ""),
        ("email", "a@b@c.example"),
        ("email", f"{'a' * 250}@b.example"),
        ("full_name", ""),
        ("full_name", "   "),
        ("full_name", "two\nlines"),
        ("full_name", "x" * 201),
        ("full_name", None),
        ("timezone", "Mars/Olympus"),
        ("timezone", ""),
        ("phone", "call me"),
        ("phone", ""),
        ("birth_date", "2026-02-30"),
        ("birth_date", "0001-01-01"),
        ("birth_date", "9999-12-31"),
        ("birth_date", "1899-12-31"),
        ("birth_date", "2026-03-03T00:00:00Z"),
        ("birth_date", 5),
        ("role", "admin"),
        ("password", 123456789012),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_field_out_of_bounds_is_named(api: Api, field: str, value: Any) -> None:
    response = await api.refused(
        422, "validation_failed", "POST", "/v1/auth/register", {**REGISTRATION, field: value}
    )
    errors = (await response.json())["errors"]
    assert [error["loc"][:2] for error in errors] == [["body", field]]


@pytest.mark.parametrize("password", ["short", "x" * 129, "password1234", "123456789012"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_weak_password_is_refused(api: Api, password: str) -> None:
    body = {**REGISTRATION, "password": password}
    response = await api.refused(422, "weak_password", "POST", "/v1/auth/register", body)
    assert password not in await response.text()


async def test_people_change_their_own_account(api: Api, clock: FakeClock) -> None:
    ana = await api.patient(phone="+351 912 345 678", birth_date="1990-02-28")
    clock.advance(timedelta(minutes=1))
    changes = {"full_name": "Ana S.", "timezone": "Asia/Tokyo", "phone": None, "birth_date": None}
    response = await api.call("PATCH", "/v1/users/me", changes, by=ana)
    user = await response.json()
    assert {key: user[key] for key in changes} == changes
    assert (user["version"], user["updated_at"]) == (2, "2026-03-02T08:01:00Z")
    assert response.headers["ETag"] == '"2"'
    assert await api.ok("GET", "/v1/users/me", by=ana) == user


async def test_a_patch_leaves_alone_what_it_leaves_out(api: Api) -> None:
    ana = await api.patient(phone="+351 912 345 678")
    user = await api.ok("PATCH", "/v1/users/me", {"full_name": "Ana S."}, by=ana)
    assert user["phone"] == "+351 912 345 678"
    assert await api.ok("PATCH", "/v1/users/me", {}, by=ana) == user
    assert await api.ok("PATCH", "/v1/users/me", {"full_name": "Ana S."}, by=ana) == user


@pytest.mark.parametrize(
    "changes",
    [
        {"full_name": None},
        {"timezone": None},
        {"email": "x@example.org"},
        {"role": "admin"},
        {"birth_date": "2026-03-04"},
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_people_cannot_change_of_their_own(api: Api, changes: dict[str, Any]) -> None:
    ana = await api.patient()
    await api.refused(422, "validation_failed", "PATCH", "/v1/users/me", changes, by=ana)


async def test_if_match_guards_a_change(api: Api) -> None:
    ana = await api.patient()
    first, changes = {"If-Match": '"1"'}, {"full_name": "A"}
    await api.ok("PATCH", "/v1/users/me", changes, by=ana, headers=first)
    path = f"/v1/users/{ana.id}"
    for body in ({"full_name": "B"}, {}):
        for where in (path, "/v1/users/me"):
            await api.refused(412, "version_mismatch", "PATCH", where, body, by=ana, headers=first)
    await api.ok("PATCH", path, {"full_name": "B"}, by=ana, headers={"If-Match": '"7", "2"'})
    await api.refused(
        400, "bad_header", "PATCH", path, {"full_name": "C"}, by=ana, headers={"If-Match": "2"}
    )


async def test_changes_at_once_are_all_kept(api: Api, instance: Instance) -> None:
    ana = await api.patient()
    other = await instance()
    changes = [{"full_name": "A"}, {"timezone": "Asia/Tokyo"}, {"phone": "123"}] * 3
    await asyncio.gather(
        *((api, other)[n % 2].ok("PATCH", "/v1/users/me", c, by=ana) for n, c in enumerate(changes))
    )
    user = await api.ok("GET", "/v1/users/me", by=ana)
    assert (user["full_name"], user["timezone"], user["phone"]) == ("A", "Asia/Tokyo", "123")
    assert user["version"] == 4


async def test_who_sees_whom(api: Api) -> None:
    admin = await api.admin()
    ana, eve = await api.patient(), await api.patient()
    bob, zoe = await api.staff("doctor", by=admin), await api.staff("doctor", by=admin)
    for viewer, seen in ((admin, ana), (admin, bob), (ana, ana), (bob, bob)):
        user = await api.ok("GET", f"/v1/users/{seen.id}", by=viewer)
        assert user["email"] == seen.email
    named = await api.call("GET", f"/v1/users/{ana.id}", by=bob)
    assert await named.json() == {"id": ana.id, "full_name": "Ana Silva"}
    assert "ETag" not in named.headers
    hidden = [(eve, ana.id), (ana, bob.id), (bob, zoe.id), (bob, admin.id)]
    bodies = set()
    for viewer, seen_id in [*hidden, (ana, "no-such-user"), (ana, "not%20an%20id")]:
        response = await api.refused(404, "not_found", "GET", f"/v1/users/{seen_id}", by=viewer)
        problem = await response.json()
        bodies.add((problem["title"], problem["type"], problem["code"]))
    assert len(bodies) == 1


async def test_the_body_for_a_hidden_user_is_that_for_none(api: Api) -> None:
    ana, eve = await api.patient(), await api.patient()
    hidden, missing = [
        await (await api.refused(404, "not_found", "GET", f"/v1/users/{i}", by=eve)).json()
        for i in (ana.id, "0" * 26)
    ]
    for problem in (hidden, missing):
        del problem["instance"], problem["request_id"]
    assert hidden == missing


async def test_who_changes_whom(api: Api) -> None:
    admin = await api.admin()
    ana, eve = await api.patient(), await api.patient()
    bob = await api.staff("doctor", by=admin)
    change = {"full_name": "X"}
    await api.ok("PATCH", f"/v1/users/{ana.id}", change, by=ana)
    await api.ok("PATCH", f"/v1/users/{ana.id}", {**change, "role": "patient"}, by=admin)
    await api.refused(403, "forbidden", "PATCH", f"/v1/users/{ana.id}", change, by=bob)
    await api.refused(404, "not_found", "PATCH", f"/v1/users/{ana.id}", change, by=eve)
    for field in ({"role": "admin"}, {"status": "disabled"}):
        await api.refused(403, "forbidden", "PATCH", f"/v1/users/{ana.id}", field, by=ana)


async def test_admins_make_accounts_of_any_role(api: Api) -> None:
    admin = await api.admin()
    body = {"email": "b@clinic.example", "password": PASSWORD, "full_name": "B", "role": "admin"}
    user = await api.ok("POST", "/v1/users", body, by=admin)
    assert user["role"] == "admin"
    await api.refused(409, "email_taken", "POST", "/v1/users", body, by=admin)
    ana = await api.patient()
    await api.refused(403, "forbidden", "POST", "/v1/users", body, by=ana)
    await api.refused(401, "invalid_token", "POST", "/v1/users", body)


async def test_admins_list_accounts(api: Api) -> None:
    admin = await api.admin()
    people = [await api.patient(full_name=f"José {n}") for n in range(5)]
    doctor = await api.staff("doctor", by=admin, full_name="Maria JOSÉ")
    await api.ok("PATCH", f"/v1/users/{people[0].id}", {"status": "disabled"}, by=admin)

    async def ids(query: str) -> list[str]:
        page = await api.ok("GET", f"/v1/users{query}", by=admin)
        assert page["next_cursor"] is None
        return [item["id"] for item in page["items"]]

    everyone = sorted([admin.id, doctor.id, *(person.id for person in people)])
    assert await ids("") == everyone
    assert await ids("?role=&q=&status=") == everyone
    assert await ids("?role=doctor") == [doctor.id]
    assert await ids("?status=disabled") == [people[0].id]
    assert await ids("?role=patient&status=active") == sorted(p.id for p in people[1:])
    assert await ids("?q=jos%C3%A9") == sorted([doctor.id, *(p.id for p in people)])
    assert await ids("?q=jose") == []
    assert await ids("?q=ADMIN@") == [admin.id]
    assert await ids("?q=%25") == []
    assert await ids("?q=_") == []


async def test_a_list_is_paged_without_gaps_or_repetitions(api: Api, clock: FakeClock) -> None:
    admin = await api.admin()
    for _ in range(6):
        clock.advance(timedelta(milliseconds=1))
        await api.patient()
    seen: list[str] = []
    pages, query = 0, "limit=3"
    while query:
        page = await api.ok("GET", f"/v1/users?{query}", by=admin)
        seen += [item["id"] for item in page["items"]]
        pages += 1
        query = f"limit=3&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert pages == 3
    assert len(seen) == 7
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_cursor_of_elsewhere_is_refused(api: Api) -> None:
    admin = await api.admin()
    await api.patient()
    page = await api.ok("GET", "/v1/users?limit=1", by=admin)
    cursor = page["next_cursor"]
    altered = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for query in (f"cursor={altered}", f"cursor={cursor}&role=patient", "cursor=", "cursor=%00"):
        await api.refused(422, "bad_cursor", "GET", f"/v1/users?{query}", by=admin)
    await api.refused(422, "bad_cursor", "GET", f"/v1/doctors?cursor={cursor}")


@pytest.mark.parametrize("limit", ["-1", "0", "201", "1e9", "x", "", "1.5"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_limit_out_of_bounds_is_refused(api: Api, limit: str) -> None:
    await api.refused(422, "validation_failed", "GET", f"/v1/doctors?limit={limit}")


async def test_a_disabled_account_is_out_at_once(api: Api, instance: Instance) -> None:
    admin, ana = await api.admin(), await api.patient()
    elsewhere = await instance()
    await elsewhere.ok("GET", "/v1/users/me", by=ana)
    await api.ok("PATCH", f"/v1/users/{ana.id}", {"status": "disabled"}, by=admin)
    response = await elsewhere.refused(401, "invalid_token", "GET", "/v1/users/me", by=ana)
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert (await elsewhere.login(ana.email)).status == 401
    body = {"refresh_token": ana.refresh}
    await elsewhere.refused(401, "invalid_refresh_token", "POST", "/v1/auth/refresh", body)
    await api.ok("PATCH", f"/v1/users/{ana.id}", {"status": "active"}, by=admin)
    await api.sign_in(ana.email)
    # The old session doesn't come back to life.
    await elsewhere.refused(401, "invalid_refresh_token", "POST", "/v1/auth/refresh", body)


async def test_a_token_counts_by_what_its_account_is_now(api: Api) -> None:
    admin = await api.admin()
    second = await api.staff("admin", by=admin)
    await api.ok("GET", "/v1/users", by=second)
    await api.ok("PATCH", f"/v1/users/{second.id}", {"role": "patient"}, by=admin)
    await api.refused(403, "forbidden", "GET", "/v1/users", by=second)
    await api.refused(404, "not_found", "GET", f"/v1/users/{admin.id}", by=second)
    assert (await api.ok("GET", "/v1/users/me", by=second))["role"] == "patient"


async def test_the_last_admin_stays(api: Api) -> None:
    admin = await api.admin()
    path = f"/v1/users/{admin.id}"
    for change in ({"role": "doctor"}, {"status": "disabled"}):
        await api.refused(409, "last_admin", "PATCH", path, change, by=admin)
    await api.staff("admin", by=admin)
    await api.ok("PATCH", path, {"status": "disabled"}, by=admin)
    assert (await api.login(ADMIN_EMAIL)).status == 401


async def test_two_admins_cannot_disable_each_other(api: Api, instance: Instance) -> None:
    admins = [await api.admin()]
    admins.append(await api.staff("admin", by=admins[0]))
    apis = [api, await instance()]
    answers = await asyncio.gather(
        *(
            apis[n].call(
                "PATCH", f"/v1/users/{admins[1 - n].id}", {"status": "disabled"}, by=admins[n]
            )
            for n in range(2)
        )
    )
    # The other one found itself disabled already, or alone.
    statuses = sorted(answer.status for answer in answers)
    assert statuses[0] == 200
    assert statuses[1] in (401, 409)
