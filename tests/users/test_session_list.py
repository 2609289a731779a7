"""Where somebody is signed in, and signing out from there."""

from datetime import datetime, timedelta

import pytest

from servicekit.testing import FakeClock
from tests.users.api import PASSWORD, Api, Person
from users_service.domain.sessions import client_name

SESSIONS = "/v1/auth/sessions"


async def sign_in_with(api: Api, email: str, client: str) -> dict[str, str]:
    body = {"email": email, "password": PASSWORD}
    headers = {"User-Agent": client, "X-Forwarded-For": "192.0.2.1"}
    pair: dict[str, str] = await api.ok("POST", "/v1/auth/login", body, headers=headers)
    return pair


def instant(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat() + "Z"


async def test_each_sign_in_is_a_session(api: Api, clock: FakeClock) -> None:
    ana, eve = await api.patient(), await api.patient()
    began = clock()
    clock.advance(timedelta(minutes=1))
    pair = await sign_in_with(api, ana.email, "Browser/1.0 (é 🌻)")
    first, second = (await api.ok("GET", SESSIONS, by=ana))["items"]
    assert (first["created_at"], first["last_used_at"]) == (instant(began), instant(began))
    assert (first["current"], second["current"]) == (True, False)
    assert second["client"] == "Browser/1.0 (é 🌻)"
    other = (await api.ok("GET", SESSIONS, by=pair["access_token"]))["items"]
    assert [item["current"] for item in other] == [False, True]
    assert len((await api.ok("GET", SESSIONS, by=eve))["items"]) == 1


async def test_a_refresh_is_a_use(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    began = clock()
    clock.advance(timedelta(minutes=14))
    pair = await api.ok("POST", "/v1/auth/refresh", {"refresh_token": ana.refresh})
    used = instant(clock())
    [session] = (await api.ok("GET", SESSIONS, by=pair["access_token"]))["items"]
    assert (session["created_at"], session["last_used_at"]) == (instant(began), used)
    assert session["current"]  # what a refresh gives is of the same session
    # The answer given again within the grace is no further use.
    clock.advance(timedelta(seconds=5))
    await api.ok("POST", "/v1/auth/refresh", {"refresh_token": ana.refresh})
    [session] = (await api.ok("GET", SESSIONS, by=pair["access_token"]))["items"]
    assert session["last_used_at"] == used


async def test_a_session_is_ended_by_its_owner_alone(api: Api) -> None:
    ana, eve, admin = await api.patient(), await api.patient(), await api.admin()
    other = await api.sign_in(ana.email)
    sessions = (await api.ok("GET", SESSIONS, by=ana))["items"]
    [ended] = [session["id"] for session in sessions if not session["current"]]
    path = f"{SESSIONS}/{ended}"
    for stranger in (eve, admin):
        await api.refused(404, "not_found", "DELETE", path, by=stranger)
    await api.refused(404, "not_found", "DELETE", f"{SESSIONS}/unknown", by=ana)
    response = await api.call("DELETE", path, by=ana)
    assert (response.status, await response.read()) == (204, b"")
    await api.refused(404, "not_found", "DELETE", path, by=ana)
    refresh = {"refresh_token": other.refresh}
    await api.refused(401, "invalid_refresh_token", "POST", "/v1/auth/refresh", refresh)
    await api.ok("POST", "/v1/auth/refresh", {"refresh_token": ana.refresh})
    assert len((await api.ok("GET", SESSIONS, by=ana))["items"]) == 1


async def test_what_is_over_is_not_listed(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    await api.ok("POST", "/v1/auth/logout", {"refresh_token": ana.refresh})
    clock.advance(timedelta(days=1))
    await api.sign_in(ana.email)
    clock.advance(timedelta(days=29, hours=12))
    last = await api.sign_in(ana.email)
    assert len((await api.ok("GET", SESSIONS, by=last))["items"]) == 2
    clock.advance(timedelta(hours=12))
    last = await api.sign_in(ana.email)
    assert len((await api.ok("GET", SESSIONS, by=last))["items"]) == 2


async def test_sessions_come_in_pages(api: Api) -> None:
    ana: Person = await api.patient()
    for _ in range(4):
        ana = await api.sign_in(ana.email)
    everything = (await api.ok("GET", SESSIONS, by=ana))["items"]
    assert len(everything) == 5
    found, cursor = [], ""
    for _ in range(3):
        page = await api.ok("GET", f"{SESSIONS}?limit=2{cursor}", by=ana)
        found += page["items"]
        cursor = f"&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert found == everything


@pytest.mark.parametrize(
    ("user_agent", "client"),
    [
        ("curl/8", "curl/8"),
        ("", None),
        (" \t ", None),
        ("a\x00b\x1b[31m\u202ec\udcff", "ab[31mc"),
        ("x" * 300, "x" * 200),
        ("🌻" * 300, "🌻" * 200),
    ],
)
def test_of_a_user_agent_is_kept_what_can_be_seen(user_agent: str, client: str | None) -> None:
    assert client_name(user_agent) == client


async def test_a_user_agent_that_is_no_text_is_no_defect(api: Api) -> None:
    ana = await api.patient()
    pair = await sign_in_with(api, ana.email, "\udcff\udcfe")
    sessions = (await api.ok("GET", SESSIONS, by=pair["access_token"]))["items"]
    assert [item["client"] for item in sessions if item["current"]] == [None]
