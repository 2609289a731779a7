"""What nobody means to send: naughty strings, broken bodies, ids that are none."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.users.api import PASSWORD, Api
from users_service.routes import OPERATIONS

PATHS_WITH_BODIES = [
    (operation.method, operation.path)
    for operation in OPERATIONS
    if operation.method in ("POST", "PUT", "PATCH")
]

EXTREME_STRINGS = [
    "\x00",
    "a\x00b",
    "\u202e",
    "\ufeff",
    "\ud7ff",
    "\U0010ffff",
    "ﷺ" * 100,
    "İ" * 100,
]


@pytest.fixture
def strings(naughty_strings: list[str]) -> list[str]:
    return [*naughty_strings, *EXTREME_STRINGS, *(f"{text} " for text in ("x", "é", "🌻"))]


async def test_naughty_strings_are_given_back_exactly_or_refused(
    api: Api, strings: list[str]
) -> None:
    ana = await api.patient()
    bob = await api.staff("doctor", by=await api.admin())
    taken = {"full_name": 0, "bio": 0, "specialty": 0}
    for text in strings:
        for field in ("full_name", "phone"):
            response = await api.call("PATCH", "/v1/users/me", {field: text}, by=ana)
            assert response.status in (200, 422), (field, text)
            if response.status == 200:
                assert (await response.json())[field] == text
                assert (await api.ok("GET", "/v1/users/me", by=ana))[field] == text
                taken[field] = taken.get(field, 0) + 1
        for field in ("bio", "specialty"):
            body = {"specialty": "x", "bio": "", "accepting_patients": True, field: text}
            response = await api.call("PUT", f"/v1/doctors/{bob.id}", body, by=bob)
            assert response.status in (200, 422), (field, text)
            if response.status == 200:
                assert (await api.ok("GET", f"/v1/doctors/{bob.id}"))[field] == text
                taken[field] += 1
    # Refusing them all would be too easy.
    assert taken["bio"] == len(strings)
    assert min(taken["full_name"], taken["specialty"]) > 400


async def test_naughty_names_go_into_tokens_and_searches(api: Api, strings: list[str]) -> None:
    admin = await api.admin()
    bob = await api.staff("doctor", by=admin)
    for text in strings:
        response = await api.call("PATCH", "/v1/users/me", {"full_name": text}, by=bob)
        if response.status != 200:
            continue
        pair = await api.ok("POST", "/v1/auth/refresh", {"refresh_token": bob.refresh})
        me = await api.ok("GET", "/v1/users/me", by=pair["access_token"])
        assert me["full_name"] == text
        for path, caller in (("/v1/doctors", None), ("/v1/users", admin)):
            found = await api.ok("GET", f"{path}?q={quote(text)}", by=caller)
            assert bob.id in [item["id"] for item in found["items"]], text


def address_for(number: int) -> str:
    """One for each, or failed logins would soon be too many."""
    return f"10.0.{number // 250}.{number % 250}"


async def test_naughty_addresses(api: Api, strings: list[str]) -> None:
    for number, text in enumerate([*strings, *(f"{text}@b.example" for text in strings)]):
        body = {"email": text, "password": PASSWORD, "full_name": "x"}
        response = await api.call("POST", "/v1/auth/register", body)
        assert response.status in (201, 409, 422), text
        known = response.status != 422
        if response.status == 201:
            assert (await response.json())["email"] == text
        response = await api.login(text, PASSWORD, address=address_for(number))
        assert response.status in ((200,) if known else (401, 422)), text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_naughty_passwords(api: Api, strings: list[str]) -> None:
    for number, text in enumerate(strings):
        body = {"email": f"n{number}@example.org", "password": text, "full_name": "x"}
        response = await api.call("POST", "/v1/auth/register", body)
        assert response.status in (201, 422), text
        known = response.status == 201
        response = await api.login(body["email"], text, address=address_for(number))
        assert response.status in ((200,) if known else (401, 422)), text


async def test_naughty_searches(api: Api, strings: list[str]) -> None:
    admin = await api.admin()
    for text in strings:
        query = f"q={quote(text, safe='')}"
        for path in (f"/v1/doctors?{query}&specialty={query[2:]}", f"/v1/users?{query}"):
            response = await api.call("GET", path, by=admin)
            assert response.status in (200, 422), (path, text)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_naughty_tokens_and_parameters(api: Api, strings: list[str]) -> None:
    admin = await api.admin()
    for text in strings:
        for path, field in (("refresh", "refresh_token"), ("service-token", "client_assertion")):
            response = await api.call("POST", f"/v1/auth/{path}", {field: text})
            assert response.status in (401, 422), text
        for query in ("cursor", "limit", "role", "status"):
            path = f"/v1/users?{query}={quote(text, safe='')}"
            response = await api.call("GET", path, by=admin)
            assert response.status in (200, 422), (query, text)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_naughty_zones_and_dates(api: Api, strings: list[str]) -> None:
    ana = await api.patient()
    for text in strings:
        for field in ("timezone", "birth_date"):
            response = await api.call("PATCH", "/v1/users/me", {field: text}, by=ana)
            assert response.status == 422, (field, text)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_naughty_headers(api: Api, strings: list[str]) -> None:
    ana = await api.patient()
    for text in strings:
        if not text.isprintable():
            continue  # no client can send it in a header
        headers = {"If-Match": text, "X-Forwarded-For": text, "X-Request-Id": text}
        response = await api.call("PATCH", "/v1/users/me", {}, by=ana, headers=headers)
        assert response.status in (200, 400, 412), text
        await api.call("POST", "/v1/auth/login", {"email": "x", "password": "y"}, headers=headers)
        response = await api.call(
            "GET", "/v1/users/me", headers={"Authorization": f"Bearer {text}"}
        )
        assert response.status == 401, text


BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b'{"email": "a', 400),
    (b"[" * 10_000, 400),
    (b'{"a":' * 10_000, 400),
    (b"\xff\xfe\x00", 400),
    (b'{"email": "\xed\xa0\x80"}', 400),
    (b'{"email": "\\ud800"}', 400),
    (b'{"email": NaN}', 422),
    (b"null", 422),
    (b"[]", 422),
    (b'"text"', 422),
    (b"1e999999", 422),
    (b'{"surplus": 1}', 422),
    (b"{}" + b" " * 70_000, 413),
    (b'{"email": ' + b"9" * 5000 + b"}", 400),
]


@pytest.mark.parametrize(("method", "path"), PATHS_WITH_BODIES)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_hostile_bodies_are_refused(api: Api, method: str, path: str) -> None:
    admin = await api.admin()
    doctor = await api.staff("doctor", by=admin)
    before = await api.ok("GET", "/v1/users", by=admin)
    target = path.replace("{id}", doctor.id)
    caller = doctor if path == "/v1/users/me" else admin
    for body, expected in BODIES:
        response = await api.client.request(
            method,
            target,
            data=body,
            headers={
                "Authorization": f"Bearer {caller.token}",
                "Content-Type": "application/json",
            },
        )
        problem = await response.json()
        empty_is_no_change = method == "PATCH" and body == b""
        assert response.status == (200 if empty_is_no_change else expected), (body[:40], problem)
    assert await api.ok("GET", "/v1/users", by=admin) == before


@pytest.mark.parametrize(("method", "path"), PATHS_WITH_BODIES)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_body_of_another_type_is_refused(api: Api, method: str, path: str) -> None:
    admin = await api.admin()
    response = await api.client.request(
        method,
        path.replace("{id}", admin.id),
        data=b"email=a@b.example",
        headers={
            "Authorization": f"Bearer {admin.token}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert response.status == 415


@pytest.mark.parametrize("value", [None, True, 5, 1.5, [], {}, ["x"], {"x": "y"}])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_values_of_another_type_are_refused(api: Api, value: Any) -> None:
    good = {
        "email": "new@example.org",
        "password": PASSWORD,
        "full_name": "x",
        "timezone": "UTC",
        "phone": "12345",
        "birth_date": "1990-01-01",
    }
    for field in good:
        if value is None and field in ("phone", "birth_date"):
            continue
        body = {**good, field: value}
        await api.refused(422, "validation_failed", "POST", "/v1/auth/register", body)
    for field in ("email", "password"):
        body = {"email": "a@b.example", "password": "x", field: value}
        await api.refused(422, "validation_failed", "POST", "/v1/auth/login", body)


@pytest.mark.parametrize(
    "user_id",
    ["%00", "..%2f", "a%20b", "'%20OR%201=1", "x" * 81, "%F0%9F%8C%BB", "%ED%A0%80", "%ff", "-"],
)
async def test_ids_that_are_none(api: Api, user_id: str) -> None:
    admin = await api.admin()
    await api.refused(404, "not_found", "GET", f"/v1/doctors/{user_id}")
    await api.refused(404, "not_found", "GET", f"/v1/users/{user_id}", by=admin)
    await api.refused(404, "not_found", "PATCH", f"/v1/users/{user_id}", {}, by=admin)


@pytest.mark.parametrize(
    "query", ["%00", "%ED%A0%80", "%ff%fe", "%F0%9F%8C%BB", "%", "+", "%25", "%u0041", "\x80"]
)
async def test_queries_that_are_no_text(api: Api, query: str) -> None:
    for target in (f"/v1/doctors?q={query}", f"/v1/doctors?specialty={query}"):
        # By hand: any client would mend them.
        reader, writer = await asyncio.open_connection("127.0.0.1", api.client.port)
        request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("latin-1"))
        status_line = await reader.readline()
        assert int(status_line.split()[1]) in (200, 400, 422), target
        writer.close()
        await writer.wait_closed()


async def test_methods_that_are_not_there(api: Api) -> None:
    response = await api.refused(405, "method_not_allowed", "DELETE", "/v1/doctors")
    assert response.headers["Allow"] == "GET,HEAD"
    await api.refused(404, "not_found", "GET", "/v1/auth/nothing")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_name_of_the_greatest_length_still_fits_into_a_token(api: Api) -> None:
    ana = await api.patient(full_name="🌻" * 200)
    assert len(ana.token) < 8192
    me = await api.ok("GET", "/v1/users/me", by=ana)
    assert json.dumps(me["full_name"]) == json.dumps("🌻" * 200)
