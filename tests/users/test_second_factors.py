"""Second factors over HTTP: set up, asked for at login, guessed at, lost."""

import asyncio
import base64
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import make_mocked_request

from servicekit.auth import Caller
from servicekit.testing import FakeClock
from tests.users.api import PASSWORD, Api, Person
from tests.users.conftest import Instance
from users_service.domain.second_factors import (
    ENROLLING,
    code_at,
    matching_step,
    new_recovery_codes,
    recovery_digest,
    step_of,
)
from users_service.handlers.common import load_account
from users_service.routes import OPERATIONS

FACTOR = "/v1/auth/second-factor"
WRONG = "another phrase altogether"


class Device:
    """An authenticator."""

    def __init__(self, secret: str, clock: FakeClock) -> None:
        self._secret = base64.b32decode(secret)
        self._clock = clock

    def code(self, steps: int = 0) -> str:
        return code_at(self._secret, step_of(self._clock()) + steps)

    def wrong(self) -> str:
        """A code of no step that counts now."""
        near = {self.code(steps) for steps in range(-2, 3)}
        return next(
            code for code in ("000000", *map(str, range(111111, 111119))) if code not in near
        )

    def next(self) -> str:
        """The code of a step that nobody used."""
        self._clock.advance(timedelta(seconds=30))
        return self.code()


async def begun(api: Api, person: Person, clock: FakeClock) -> Device:
    new = await api.ok("POST", FACTOR, {"password": PASSWORD}, by=person)
    return Device(new["secret"], clock)


async def set_up(api: Api, person: Person, clock: FakeClock) -> tuple[Device, list[str]]:
    device = await begun(api, person, clock)
    answer = await api.ok("POST", f"{FACTOR}/confirm", {"code": device.code()}, by=person)
    codes: list[str] = answer["recovery_codes"]
    return device, codes


async def login(
    api: Api, email: str, otp: str | None, password: str = PASSWORD, address: str = "192.0.2.1"
) -> ClientResponse:
    body = {"email": email, "password": password, "otp": otp}
    headers = {"X-Forwarded-For": address}
    return await api.call("POST", "/v1/auth/login", body, headers=headers)


async def outcome(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, (await answer.json()).get("code", "")


# RFC 6238, appendix B: SHA-1, eight digits.
@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_the_standards(seconds: int, code: str) -> None:
    assert code_at(b"12345678901234567890", seconds // 30, digits=8) == code


def test_a_step_before_and_after_count(clock: FakeClock) -> None:
    secret, now = bytes(20), step_of(clock())
    found = [matching_step(secret, code_at(secret, now + n), clock()) for n in range(-2, 3)]
    assert found == [None, now - 1, now, now + 1, None]


def test_codes_are_read_as_people_write_them(clock: FakeClock) -> None:
    code = code_at(bytes(20), step_of(clock()))
    assert matching_step(bytes(20), f" {code[:3]} {code[3:]}", clock()) == step_of(clock())
    for nonsense in ("", "٣" * 6, code[:5], f"{code}0", "é", "\x00"):
        assert matching_step(bytes(20), nonsense, clock()) is None
    codes = new_recovery_codes()
    assert all(len(code) == 29 for code in codes)
    assert recovery_digest(codes[0].upper().replace("-", " ")) == recovery_digest(codes[0])


def test_recovery_codes_can_not_be_found_by_trying() -> None:
    plain = [code.replace("-", "") for code in new_recovery_codes()]
    assert len(set(plain)) == 10
    # Five bits a letter or digit; a plain digest takes 112 (ASVS 6.5.2).
    assert min(len(code) for code in plain) * 5 >= 112


async def test_a_factor_is_begun_confirmed_and_asked_for(api: Api, clock: FakeClock) -> None:
    ana = await api.patient(email="ana+x@example.org")
    status = {"enabled": False, "confirmed_at": None, "recovery_codes_left": 0, "required": False}
    assert await api.ok("GET", FACTOR, by=ana) == status
    response = await api.call("POST", FACTOR, {"password": PASSWORD}, by=ana)
    assert response.headers["Cache-Control"] == "no-store"
    new = await response.json()
    uri = urlsplit(new["uri"])
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert uri.path == "/Appointment%20Analytics:ana%2Bx@example.org"
    assert parse_qs(uri.query) == {
        "secret": [new["secret"]],
        "issuer": ["Appointment Analytics"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }
    # Begun is not set up: a login goes on without it.
    assert await api.ok("GET", FACTOR, by=ana) == status
    assert (await login(api, ana.email, None)).status == 200
    device = Device(new["secret"], clock)
    confirmation = {"code": device.wrong()}
    await api.refused(422, "wrong_code", "POST", f"{FACTOR}/confirm", confirmation, by=ana)
    answer = await api.ok("POST", f"{FACTOR}/confirm", {"code": device.code()}, by=ana)
    assert len(set(answer["recovery_codes"])) == 10
    status = await api.ok("GET", FACTOR, by=ana)
    assert (status["enabled"], status["recovery_codes_left"]) == (True, 10)
    assert status["confirmed_at"] == clock().replace(tzinfo=None).isoformat() + "Z"
    assert await outcome(await login(api, ana.email, None)) == (401, "second_factor_required")
    assert await outcome(await login(api, ana.email, None, WRONG)) == (401, "bad_credentials")
    assert (await login(api, ana.email, device.next())).status == 200


async def test_a_code_is_good_once(api: Api, clock: FakeClock, instance: Instance) -> None:
    ana = await api.patient()
    device, _ = await set_up(api, ana, clock)
    assert (await login(api, ana.email, device.code())).status == 401  # it confirmed
    apis = [api, await instance()]
    code = device.next()
    answers = await asyncio.gather(*(login(apis[n % 2], ana.email, code) for n in range(8)))
    assert sorted(answer.status for answer in answers) == [200, *[401] * 7]
    # A step before the one that was used is over, too; the next is good early.
    assert (await login(api, ana.email, device.code(-1))).status == 401
    assert (await login(api, ana.email, device.code(1))).status == 200


async def test_a_recovery_code_is_good_once(api: Api, clock: FakeClock, instance: Instance) -> None:
    ana, eve = await api.patient(), await api.patient()
    _, codes = await set_up(api, ana, clock)
    await set_up(api, eve, clock)
    assert (await login(api, eve.email, codes[0])).status == 401
    apis = [api, await instance()]
    typed = codes[0].upper().replace("-", " ")
    answers = await asyncio.gather(*(login(apis[n % 2], ana.email, typed) for n in range(8)))
    assert sorted(answer.status for answer in answers) == [200, *[401] * 7]
    assert (await login(api, ana.email, codes[1])).status == 200
    assert (await api.ok("GET", FACTOR, by=ana))["recovery_codes_left"] == 8


async def test_new_recovery_codes_take_the_place_of_the_old(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    device, old = await set_up(api, ana, clock)
    path = f"{FACTOR}/recovery-codes"
    await api.refused(422, "wrong_code", "POST", path, {"code": device.wrong()}, by=ana)
    new = (await api.ok("POST", path, {"code": device.next()}, by=ana))["recovery_codes"]
    assert not set(new) & set(old)
    assert (await login(api, ana.email, old[0])).status == 401
    assert (await login(api, ana.email, new[0])).status == 200


async def test_confirming_ends_the_sessions_begun_without(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    other = await api.sign_in(ana.email)
    await set_up(api, ana, clock)
    refresh = {"refresh_token": other.refresh}
    await api.refused(401, "invalid_refresh_token", "POST", "/v1/auth/refresh", refresh)
    await api.ok("POST", "/v1/auth/refresh", {"refresh_token": ana.refresh})


async def test_beginning_takes_the_password_and_replaces_what_is_unconfirmed(
    api: Api, clock: FakeClock
) -> None:
    ana = await api.patient()
    await api.refused(401, "bad_credentials", "POST", FACTOR, {"password": WRONG}, by=ana)
    first, second = await begun(api, ana, clock), await begun(api, ana, clock)
    confirm = f"{FACTOR}/confirm"
    await api.refused(422, "wrong_code", "POST", confirm, {"code": first.code()}, by=ana)
    await api.ok("POST", confirm, {"code": second.code()}, by=ana)
    await api.refused(409, "second_factor_set", "POST", FACTOR, {"password": PASSWORD}, by=ana)
    await api.refused(409, "second_factor_set", "POST", confirm, {"code": second.next()}, by=ana)


async def test_without_a_factor_there_is_nothing_to_use(api: Api) -> None:
    ana = await api.patient()
    both = {"password": PASSWORD, "code": "123456"}
    for path, body in (("confirm", None), ("recovery-codes", None), ("remove", both)):
        sent = body or {"code": "123456"}
        await api.refused(409, "no_second_factor", "POST", f"{FACTOR}/{path}", sent, by=ana)


async def test_beginning_at_once_leaves_one_that_works(
    api: Api, clock: FakeClock, instance: Instance
) -> None:
    ana = await api.patient()
    apis = [api, await instance()]
    devices = await asyncio.gather(*(begun(apis[n % 2], ana, clock) for n in range(6)))
    answers = [
        await api.call("POST", f"{FACTOR}/confirm", {"code": device.code()}, by=ana)
        for device in devices
    ]
    assert [answer.status for answer in answers].count(200) == 1


async def test_removing_takes_the_password_and_a_code(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    device, codes = await set_up(api, ana, clock)
    path, code = f"{FACTOR}/remove", device.next()
    body = {"password": WRONG, "code": code}
    await api.refused(401, "bad_credentials", "POST", path, body, by=ana)
    body = {"password": PASSWORD, "code": device.wrong()}
    await api.refused(422, "wrong_code", "POST", path, body, by=ana)
    await api.ok("POST", path, {"password": PASSWORD, "code": code}, by=ana)
    assert (await login(api, ana.email, None)).status == 200
    # What was of the old one is not of a new one.
    await set_up(api, ana, clock)
    assert (await login(api, ana.email, codes[0])).status == 401


async def test_an_admin_removes_anothers(api: Api, clock: FakeClock) -> None:
    admin, ana, eve = await api.admin(), await api.patient(), await api.patient()
    await set_up(api, ana, clock)
    path = f"/v1/users/{ana.id}/second-factor"
    for stranger in (eve, ana):
        await api.refused(403, "forbidden", "DELETE", path, by=stranger)
    await api.refused(404, "not_found", "DELETE", "/v1/users/x/second-factor", by=admin)
    for _ in range(2):
        await api.ok("DELETE", path, by=admin)
    assert (await login(api, ana.email, None)).status == 200
    # A stolen admin's token is not enough for the admin's own.
    own = f"/v1/users/{admin.id}/second-factor"
    await api.refused(403, "forbidden", "DELETE", own, by=admin)


async def test_codes_are_not_guessed(api: Api, clock: FakeClock) -> None:
    """Ten times in fifteen minutes, over however many addresses; then not even a right one."""
    ana = await api.patient()
    device, _ = await set_up(api, ana, clock)
    for n in range(10):
        answer = await login(api, ana.email, device.wrong(), address=f"192.0.2.{n}")
        assert await outcome(answer) == (401, "bad_credentials")
    answer = await login(api, ana.email, device.next(), address="192.0.2.99")
    assert await outcome(answer) == (429, "too_many_attempts")
    assert answer.headers["Retry-After"] == "870"
    sent = {"code": device.code()}
    await api.refused(429, "too_many_attempts", "POST", f"{FACTOR}/recovery-codes", sent, by=ana)
    clock.advance(timedelta(seconds=870))
    assert (await login(api, ana.email, device.code())).status == 200


async def test_codes_guessed_at_once_get_no_more_than_ten_looks(
    api: Api, clock: FakeClock, instance: Instance
) -> None:
    ana = await api.patient()
    device, _ = await set_up(api, ana, clock)
    apis, code = [api, await instance()], device.wrong()
    answers = await asyncio.gather(
        *(login(apis[n % 2], ana.email, code, address=f"192.0.2.{n}") for n in range(40))
    )
    statuses = [answer.status for answer in answers]
    assert set(statuses) <= {401, 429}
    assert statuses.count(401) <= 10
    right = await login(apis[1], ana.email, device.next(), address="192.0.2.99")
    assert right.status == 429


async def test_right_codes_are_no_failures(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    device, _ = await set_up(api, ana, clock)
    statuses = [(await login(api, ana.email, device.next())).status for _ in range(12)]
    assert statuses == [200] * 12


async def require(api: Api, admin: Person, *roles: str) -> None:
    policy = {"roles": list(roles)}
    assert await api.ok("PUT", f"{FACTOR}/policy", policy, by=admin) == policy
    assert await api.ok("GET", f"{FACTOR}/policy", by=admin) == policy


async def refreshed(api: Api, person: Person) -> Person:
    pair = await api.ok("POST", "/v1/auth/refresh", {"refresh_token": person.refresh})
    return Person(person.id, person.email, pair["access_token"], pair["refresh_token"])


async def test_who_must_have_a_factor_can_do_no_more_than_set_it_up(
    api: Api, clock: FakeClock
) -> None:
    admin, ana = await api.admin(), await api.patient()
    bob = await api.staff("doctor", by=admin)
    await require(api, admin, "doctor")
    bob = await refreshed(api, bob)  # from the next tokens on
    page = {"specialty": "", "bio": "", "accepting_patients": True}
    refusals: list[tuple[str, str, Any]] = [
        ("GET", f"/v1/users/{bob.id}", None),
        ("PATCH", "/v1/users/me", {"full_name": "x"}),
        ("PUT", f"/v1/doctors/{bob.id}", page),
        ("GET", "/v1/auth/sessions", None),
        ("POST", f"{FACTOR}/remove", {"password": PASSWORD, "code": "123456"}),
    ]
    for person in (bob, await api.sign_in(bob.email)):
        for method, path, body in refusals:
            await api.refused(403, "forbidden", method, path, body, by=person)
        assert (await api.ok("GET", "/v1/users/me", by=person))["role"] == "doctor"
        assert (await api.ok("GET", FACTOR, by=person))["required"]
    # Others are left alone.
    await api.ok("GET", f"/v1/users/{ana.id}", by=await refreshed(api, ana))
    await set_up(api, bob, clock)
    await api.refused(403, "forbidden", "GET", f"/v1/users/{bob.id}", by=bob)
    await api.ok("GET", f"/v1/users/{bob.id}", by=await refreshed(api, bob))


def test_no_more_than_setting_up_is_open_to_who_must() -> None:
    admitted = {
        (operation.method, operation.path)
        for operation in OPERATIONS
        if ENROLLING in operation.access.roles
    }
    assert admitted == {
        ("GET", "/v1/users/me"),
        ("GET", FACTOR),
        ("POST", FACTOR),
        ("POST", f"{FACTOR}/confirm"),
    }


async def test_an_enrolling_caller_is_not_taken_for_what_the_account_is(api: Api) -> None:
    admin = await api.admin()
    request = make_mocked_request("GET", "/", app=api.client.app)
    for role, taken_for in ((ENROLLING, ENROLLING), ("patient", "admin")):
        caller = Caller(admin.id, role, "", frozenset(), "")
        assert (await load_account(request, caller)).role == taken_for


async def test_an_admin_may_require_it_of_admins(api: Api, clock: FakeClock) -> None:
    admin = await api.admin()
    await require(api, admin, "admin", "doctor")
    admin = await refreshed(api, admin)
    await api.refused(403, "forbidden", "GET", "/v1/users", by=admin)
    await set_up(api, admin, clock)
    admin = await refreshed(api, admin)
    await api.ok("GET", "/v1/users", by=admin)
    await require(api, admin)
    bob = await api.staff("doctor", by=admin)
    await api.ok("GET", f"/v1/users/{bob.id}", by=bob)


async def test_the_policy_is_an_admins(api: Api) -> None:
    admin, ana = await api.admin(), await api.patient()
    path = f"{FACTOR}/policy"
    assert await api.ok("GET", path, by=admin) == {"roles": []}
    await api.refused(403, "forbidden", "GET", path, by=ana)
    await api.refused(403, "forbidden", "PUT", path, {"roles": []}, by=ana)
    for roles in (["patient"], ["x"], "doctor", ["doctor", "admin", "doctor"], None):
        await api.refused(422, "validation_failed", "PUT", path, {"roles": roles}, by=admin)
