"""Service tokens, and what they open."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from servicekit.testing import FakeClock
from tests.users.api import Api
from tests.users.conftest import Instance
from users_service.app import open_use_cases
from users_service.errors import InvalidFieldError
from users_service.service import UseCases
from users_service.settings import UsersSettings
from users_service.store_mysql import MySQLStore

ISSUER = "https://issuer.localhost"


@pytest.fixture(scope="session")
def service_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


@pytest.fixture
async def use_cases(
    settings: UsersSettings, store: MySQLStore, clock: FakeClock
) -> AsyncIterator[UseCases]:
    async with open_use_cases(settings, store, clock) as opened:
        yield opened


@pytest.fixture(autouse=True)
async def registered(use_cases: UseCases, service_key: rsa.RSAPrivateKey) -> None:
    scope = frozenset({"contact:read", "names:read"})
    await use_cases.clients.register("appointments", scope, pem(service_key))
    await use_cases.clients.register("files", frozenset({"names:read"}), pem(service_key))


def claims_at(clock: FakeClock, **changes: Any) -> dict[str, Any]:
    now = int(clock.timestamp())
    claims = {
        "iss": "appointments",
        "sub": "appointments",
        "aud": ISSUER,
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_urlsafe(8),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


async def ask(api: Api, assertion: str) -> Any:
    return await api.ok("POST", "/v1/auth/service-token", {"client_assertion": assertion})


async def refuse(api: Api, assertion: str) -> None:
    body = {"client_assertion": assertion}
    await api.refused(401, "invalid_client", "POST", "/v1/auth/service-token", body)


async def service_token(
    api: Api, clock: FakeClock, key: rsa.RSAPrivateKey, name: str = "appointments"
) -> str:
    claims = claims_at(clock, iss=name, sub=name)
    return str((await ask(api, jwt.encode(claims, key, algorithm="RS256")))["access_token"])


async def test_an_assertion_gives_a_token_with_the_registered_scope(
    api: Api, clock: FakeClock, service_key: rsa.RSAPrivateKey
) -> None:
    response = await api.call(
        "POST",
        "/v1/auth/service-token",
        {"client_assertion": jwt.encode(claims_at(clock), service_key, algorithm="RS256")},
    )
    answer = await response.json()
    assert response.headers["Cache-Control"] == "no-store"
    assert set(answer) == {"access_token", "expires_in"}
    assert answer["expires_in"] == 300
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    now = int(clock.timestamp())
    assert claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "aud": "appointments-platform",
        "sub": "appointments",
        "iat": now,
        "exp": now + 300,
        "role": "service",
        "name": "appointments",
        "scope": "contact:read names:read",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "nobody"},
        {"sub": "files"},
        {"aud": "appointments-platform"},
        {"aud": None},
        {"exp": None},
        {"jti": None},
        {"sub": None},
        {"iss": None},
        {"iss": 5},
        {"jti": 5},
        {"jti": ""},
        {"jti": "x" * 256},
        {"jti": "\ud800"},
        {"iss": "\ud800"},
        {"exp": "soon"},
        {"exp": 1e308},
        {"exp": float("inf")},
        {"iat": 1e400},
        {"exp": True},
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_assertion_with_other_claims_is_refused(
    api: Api, clock: FakeClock, service_key: rsa.RSAPrivateKey, changes: dict[str, Any]
) -> None:
    # Signed as bytes: PyJWT's own encoder would refuse to make some of these.
    payload = json.dumps(claims_at(clock, **changes)).encode()
    assertion = jwt.api_jws.encode(payload, service_key, algorithm="RS256")
    await refuse(api, assertion)


@pytest.mark.parametrize(
    ("iat", "exp"), [(-120, -31), (0, 61), (0, 91), (31, 60), (None, 91), (-1, 60)]
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_assertion_out_of_time_is_refused(
    api: Api, clock: FakeClock, service_key: rsa.RSAPrivateKey, iat: int | None, exp: int
) -> None:
    now = int(clock.timestamp())
    claims = claims_at(clock, iat=None if iat is None else now + iat, exp=now + exp)
    await refuse(api, jwt.encode(claims, service_key, algorithm="RS256"))


@pytest.mark.parametrize(("iat", "exp"), [(-80, -20), (29, 89), (None, 60), (0, 1)])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_clocks_may_differ_a_little(
    api: Api, clock: FakeClock, service_key: rsa.RSAPrivateKey, iat: int | None, exp: int
) -> None:
    now = int(clock.timestamp())
    claims = claims_at(clock, iat=None if iat is None else now + iat, exp=now + exp)
    await ask(api, jwt.encode(claims, service_key, algorithm="RS256"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_assertion_of_another_key_or_algorithm_is_refused(
    api: Api, clock: FakeClock, service_key: rsa.RSAPrivateKey
) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = claims_at(clock)
    good = jwt.encode(claims, service_key, algorithm="RS256")
    head, body, signature = good.split(".")
    for assertion in (
        jwt.encode(claims, other, algorithm="RS256"),
        jwt.encode(claims, service_key, algorithm="RS512"),
        jwt.encode(claims, "s" * 64, algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none"),
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        "nonsense",
        "a.b.c",
        "é.é.é",
        "." * 8000,
    ):
        await refuse(api, assertion)
    await ask(api, good)


async def test_an_assertion_is_used_once(
    api: Api, instance: Instance, clock: FakeClock, service_key: rsa.RSAPrivateKey
) -> None:
    apis = [api, await instance()]
    assertion = jwt.encode(claims_at(clock), service_key, algorithm="RS256")
    answers = await asyncio.gather(
        *(
            apis[n % 2].call("POST", "/v1/auth/service-token", {"client_assertion": assertion})
            for n in range(10)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] + [401] * 9
    clock.advance(timedelta(seconds=60))
    await refuse(api, assertion)


async def test_a_scope_opens_what_it_says(
    api: Api, clock: FakeClock, service_key: rsa.RSAPrivateKey
) -> None:
    ana = await api.patient(phone="+351 912 345 678", timezone="Europe/Lisbon")
    both = await service_token(api, clock, service_key)
    names = await service_token(api, clock, service_key, "files")
    assert await api.ok("GET", f"/v1/users/{ana.id}/contact", by=both) == {
        "email": ana.email,
        "full_name": "Ana Silva",
        "timezone": "Europe/Lisbon",
        "phone": "+351 912 345 678",
    }
    for token in (both, names):
        assert await api.ok("GET", f"/v1/users/{ana.id}/name", by=token) == {
            "id": ana.id,
            "full_name": "Ana Silva",
            "role": "patient",
            "status": "active",
        }
        await api.refused(404, "not_found", "GET", "/v1/users/nobody/name", by=token)
    admin = await api.admin()
    for caller in (names, admin, ana):
        await api.refused(403, "forbidden", "GET", f"/v1/users/{ana.id}/contact", by=caller)
    await api.refused(401, "invalid_token", "GET", f"/v1/users/{ana.id}/name")
    for path in ("/v1/users/me", "/v1/users", f"/v1/users/{ana.id}"):
        await api.refused(403, "forbidden", "GET", path, by=both)


async def test_a_registration_is_replaced(
    api: Api, clock: FakeClock, use_cases: UseCases, service_key: rsa.RSAPrivateKey
) -> None:
    new_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    await use_cases.clients.register("appointments", frozenset({"erase"}), pem(new_key))
    await refuse(api, jwt.encode(claims_at(clock), service_key, algorithm="RS256"))
    token = await service_token(api, clock, new_key)
    assert jwt.decode(token, options={"verify_signature": False})["scope"] == "erase"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_registration_is_checked(
    use_cases: UseCases, service_key: rsa.RSAPrivateKey
) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is it
    scope = frozenset({"erase"})
    for name, wanted, key in (
        ("", scope, pem(service_key)),
        ("x" * 81, scope, pem(service_key)),
        ("x", frozenset[str](), pem(service_key)),
        ("x", frozenset({"everything"}), pem(service_key)),
        ("x", scope, "not a key"),
        ("x", scope, pem(weak)),
    ):
        with pytest.raises(InvalidFieldError):
            await use_cases.clients.register(name, wanted, key)
