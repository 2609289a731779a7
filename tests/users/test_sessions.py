"""Signing in and staying signed in, over HTTP."""

import asyncio
import base64
import json
from datetime import timedelta

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from servicekit.testing import FakeClock
from tests.users.api import PASSWORD, Api
from tests.users.conftest import Instance
from users_service.app import create_app
from users_service.settings import UsersSettings

WRONG = "another phrase altogether"


def part_of(token: str, index: int) -> dict[str, object]:
    text = token.split(".")[index]
    part: dict[str, object] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return part


async def rotate(api: Api, refresh: str) -> str:
    pair = await api.ok("POST", "/v1/auth/refresh", {"refresh_token": refresh})
    assert pair["token_type"] == "Bearer"
    return str(pair["refresh_token"])


async def refuse(api: Api, refresh: str) -> None:
    body = {"refresh_token": refresh}
    await api.refused(401, "invalid_refresh_token", "POST", "/v1/auth/refresh", body)


async def test_the_access_token_says_what_the_contract_says(api: Api, clock: FakeClock) -> None:
    ana = await api.patient(full_name="Ana Sílva 🌻")
    response = await api.login(ana.email)
    assert response.headers["Cache-Control"] == "no-store"
    pair = await response.json()
    assert set(pair) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 900)
    header, claims = part_of(pair["access_token"], 0), part_of(pair["access_token"], 1)
    keys = await api.ok("GET", "/.well-known/jwks.json")
    assert header == {"alg": "RS256", "typ": "at+jwt", "kid": keys["keys"][0]["kid"]}
    now = int(clock.timestamp())
    assert claims.pop("jti")
    assert claims.pop("sid")
    assert claims == {
        "iss": "https://issuer.localhost",
        "aud": "appointments-platform",
        "sub": ana.id,
        "iat": now,
        "exp": now + 900,
        "role": "patient",
        "name": "Ana Sílva 🌻",
    }


async def test_an_access_token_ends(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    clock.advance(timedelta(minutes=15, seconds=29))
    await api.ok("GET", "/v1/users/me", by=ana)
    clock.advance(timedelta(seconds=1))
    await api.refused(401, "invalid_token", "GET", "/v1/users/me", by=ana)


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "Bearer"])
async def test_nonsense_is_no_token(api: Api, token: str) -> None:
    response = await api.refused(401, "invalid_token", "GET", "/v1/users/me", by=token)
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_unknown_wrong_and_disabled_look_the_same(api: Api) -> None:
    admin, ana, eve = await api.admin(), await api.patient(), await api.patient()
    await api.ok("PATCH", f"/v1/users/{eve.id}", {"status": "disabled"}, by=admin)
    bodies = []
    for email, password in (
        ("nobody@example.org", PASSWORD),
        ("not an address", PASSWORD),
        (ana.email, WRONG),
        (eve.email, PASSWORD),
    ):
        response = await api.login(email, password)
        assert response.status == 401
        problem = await response.json()
        del problem["request_id"]
        bodies.append(problem)
    assert bodies[0]["code"] == "bad_credentials"
    assert all(body == bodies[0] for body in bodies)


async def test_an_address_with_spaces_is_another(api: Api) -> None:
    ana = await api.patient()
    assert (await api.login(f"{ana.email} ")).status == 401


async def test_a_password_counts_as_it_was_typed_to_its_last_character(api: Api) -> None:
    password = "x7Kq9mPz2LwV" * 10 + "Wort 1 "  # 127 characters
    body = {"email": "ana@long.example", "password": password, "full_name": "Ana"}
    await api.ok("POST", "/v1/auth/register", body)
    for other in (password[:-1], password.rstrip() + "2", password.swapcase(), password + " "):
        assert (await api.login(body["email"], other)).status == 401
    assert (await api.login(body["email"], password)).status == 200


async def test_after_ten_failures_an_email_waits(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    for _ in range(10):
        assert (await api.login(ana.email, WRONG)).status == 401
        clock.advance(timedelta(seconds=30))
    for password in (WRONG, PASSWORD):
        response = await api.login(ana.email, password)
        assert (response.status, (await response.json())["code"]) == (429, "too_many_attempts")
        assert response.headers["Retry-After"] == "600"
    # Its true owner elsewhere, and others from there, are not locked out.
    assert (await api.login(ana.email, address="192.0.2.2")).status == 200
    other = await api.patient()
    assert (await api.login(other.email)).status == 200
    clock.advance(timedelta(seconds=599))
    assert (await api.login(ana.email)).status == 429
    clock.advance(timedelta(seconds=1))
    assert (await api.login(ana.email)).status == 200


async def test_unknown_emails_wait_alike(api: Api) -> None:
    statuses = [(await api.login("Nobody@example.org", WRONG)).status for _ in range(9)]
    statuses += [(await api.login("nobody@EXAMPLE.org", WRONG)).status for _ in range(2)]
    assert statuses == [401] * 10 + [429]


async def test_after_a_hundred_failures_an_address_waits(api: Api) -> None:
    ana = await api.patient()
    for n in range(100):
        assert (await api.login(f"nobody{n}@example.org", WRONG)).status == 401
    response = await api.login(ana.email)
    assert response.status == 429
    assert response.headers["Retry-After"] == "900"
    assert (await api.login(ana.email, address="2001:db8::1")).status == 200


async def test_guesses_at_once_get_no_more_than_ten_answers(api: Api, instance: Instance) -> None:
    ana = await api.patient()
    apis = [api, await instance()]
    answers = await asyncio.gather(
        *(apis[n % 2].login(ana.email, f"{WRONG} {n}") for n in range(40))
    )
    statuses = sorted(answer.status for answer in answers)
    assert set(statuses) <= {401, 429}
    assert statuses.count(401) <= 10
    assert (await apis[1].login(ana.email)).status == 429


async def test_the_address_is_the_last_one_forwarded(api: Api) -> None:
    ana = await api.patient()
    for n in range(10):
        assert (await api.login(ana.email, WRONG, address=f"10.0.0.{n}, 192.0.2.7")).status == 401
    for address in ("192.0.2.7", "10.0.0.1,192.0.2.7:4711", "::ffff:192.0.2.7"):
        assert (await api.login(ana.email, address=address)).status == 429
    assert (await api.login(ana.email, address="192.0.2.7, 10.0.0.1")).status == 200


async def test_a_refresh_token_is_spent_by_its_successor(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    second = await rotate(api, ana.refresh)
    clock.advance(timedelta(seconds=10))
    assert await rotate(api, ana.refresh) == second  # the answer may have been lost
    third = await rotate(api, second)
    assert len({ana.refresh, second, third}) == 3


async def test_a_spent_token_after_the_grace_ends_the_family(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    other = await api.sign_in(ana.email)
    second = await rotate(api, ana.refresh)
    clock.advance(timedelta(seconds=10, microseconds=1))
    assert await api.measured("refresh_tokens_reused_total") == 0
    await refuse(api, ana.refresh)
    await refuse(api, second)
    assert await api.measured("refresh_tokens_reused_total") == 1
    await rotate(api, other.refresh)  # of another family


async def test_a_spent_token_whose_successor_is_spent_ends_the_family(api: Api) -> None:
    ana = await api.patient()
    second = await rotate(api, ana.refresh)
    third = await rotate(api, second)
    await refuse(api, ana.refresh)
    await refuse(api, third)


async def test_a_refresh_token_ends(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    clock.advance(timedelta(days=29))
    second = await rotate(api, ana.refresh)
    clock.advance(timedelta(days=29))
    third = await rotate(api, second)
    clock.advance(timedelta(days=30))
    await refuse(api, third)


async def test_a_session_that_is_used_ends_too(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    refresh = ana.refresh
    for _ in range(3):
        clock.advance(timedelta(days=29))
        refresh = await rotate(api, refresh)
    clock.advance(timedelta(days=3) - timedelta(microseconds=1))
    refresh = await rotate(api, refresh)
    clock.advance(timedelta(microseconds=1))
    await refuse(api, refresh)  # 90 days after signing in
    ana = await api.sign_in(ana.email)
    assert len((await api.ok("GET", "/v1/auth/sessions", by=ana))["items"]) == 1


async def test_a_shorter_session_counts_for_those_that_have_begun(
    api: Api, settings: UsersSettings, clock: FakeClock, aiohttp_client: AiohttpClient
) -> None:
    ana = await api.patient()
    shorter = settings.model_copy(update={"session_max_days": 7})
    after = Api(await aiohttp_client(create_app(shorter, clock=clock)))
    clock.advance(timedelta(days=7))
    await refuse(after, ana.refresh)
    await rotate(api, ana.refresh)


async def test_refreshes_at_once_give_one_successor(api: Api, instance: Instance) -> None:
    ana = await api.patient()
    apis = [api, await instance()]
    successors = await asyncio.gather(*(rotate(apis[n % 2], ana.refresh) for n in range(50)))
    assert len(set(successors)) == 1
    assert successors[0] != ana.refresh
    await rotate(api, successors[0])


async def test_a_refreshed_token_shows_the_account_as_it_is(api: Api) -> None:
    admin, ana = await api.admin(), await api.patient()
    await api.ok("PATCH", f"/v1/users/{ana.id}", {"role": "doctor", "full_name": "A"}, by=admin)
    pair = await api.ok("POST", "/v1/auth/refresh", {"refresh_token": ana.refresh})
    claims = part_of(pair["access_token"], 1)
    assert (claims["role"], claims["name"]) == ("doctor", "A")


async def test_logout_ends_the_family(api: Api) -> None:
    ana = await api.patient()
    second = await rotate(api, ana.refresh)
    await api.ok("POST", "/v1/auth/logout", {"refresh_token": ana.refresh})
    await refuse(api, second)
    for token in (second, "never given out"):
        response = await api.call("POST", "/v1/auth/logout", {"refresh_token": token})
        assert (response.status, await response.read()) == (204, b"")


@pytest.mark.parametrize("token", ["", None, 5, "x" * 1025])
async def test_what_is_no_text_is_no_refresh_token(api: Api, token: object) -> None:
    for path in ("/v1/auth/refresh", "/v1/auth/logout"):
        await api.refused(422, "validation_failed", "POST", path, {"refresh_token": token})
