"""The keys that sign: made once, sealed, published by every instance."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pytest_aiohttp.plugin import AiohttpClient

from jwtverify import JWTVerifier, KeysUnavailable, StaticKeys
from servicekit.testing import FakeClock
from tests.users.api import Api
from tests.users.conftest import settings_for
from tools.mysql import MySQLServer
from users_service.app import create_app, open_use_cases
from users_service.domain.audit import Entry
from users_service.domain.keys import SigningKey
from users_service.errors import StoreUnavailableError, UnreadableKeyError
from users_service.service.keys import KEPT_SECONDS, KeyRing, Sealing
from users_service.store_mysql import open_store
from users_service.store_mysql.migrating import migrate

SEALING = Sealing(bytes(32))


class FakeKeyStore:
    """Keys in memory; `away` is a database that doesn't answer."""

    def __init__(self) -> None:
        self.keys: list[SigningKey] = []
        self.away = False
        self.reads = 0

    async def signing_keys(self) -> Sequence[SigningKey]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailableError("away")
        return list(self.keys)

    async def add_signing_key(self, key: SigningKey, entry: Entry | None = None) -> bool:
        if any(known.generation == key.generation for known in self.keys):
            return False
        self.keys.append(key)
        return True


class Ticks:
    """Seconds that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def keys() -> FakeKeyStore:
    return FakeKeyStore()


def ring_over(keys: FakeKeyStore, clock: FakeClock, ticks: Ticks) -> KeyRing:
    return KeyRing(keys, SEALING, clock, ticks)  # type: ignore[arg-type]  # as much as a ring needs


async def test_of_instances_that_make_the_first_key_one_wins(
    keys: FakeKeyStore, clock: FakeClock, ticks: Ticks
) -> None:
    rings = [ring_over(keys, clock, ticks) for _ in range(3)]
    signers = await asyncio.gather(*(ring.signer() for ring in rings for _ in range(2)))
    assert len(keys.keys) == 1
    assert {key_id for key_id, _ in signers} == {keys.keys[0].key_id}
    assert len({private.private_numbers().p for _, private in signers}) == 1


async def test_keys_are_read_again_after_a_while(
    keys: FakeKeyStore, clock: FakeClock, ticks: Ticks
) -> None:
    ring, other = ring_over(keys, clock, ticks), ring_over(FakeKeyStore(), clock, ticks)
    first, _ = await ring.signer()
    second, private = await other.signer()
    assert private.key_size == 2048
    made = (await other._store.signing_keys())[0]
    keys.keys.append(
        SigningKey(2, second, made.public_pem, made.sealed, clock() + timedelta(minutes=5))
    )
    assert await ring.key(second) is None
    ticks.now += KEPT_SECONDS
    assert await ring.key(second) is not None
    assert [key.kid for key in await ring.published()] == [first, second]
    assert (await ring.signer())[0] == first
    clock.advance(timedelta(minutes=5))
    assert (await ring.signer())[0] == second


async def test_reading_is_shared_and_seldom(
    keys: FakeKeyStore, clock: FakeClock, ticks: Ticks
) -> None:
    ring = ring_over(keys, clock, ticks)
    await ring.ensure()
    keys.reads = 0
    for _ in range(2):
        ticks.now += KEPT_SECONDS
        await asyncio.gather(*(ring.key(f"unknown{n}") for n in range(50)))
    assert keys.reads == 2


async def test_the_keys_at_hand_serve_while_the_database_is_away(
    keys: FakeKeyStore, clock: FakeClock, ticks: Ticks
) -> None:
    ring, late = ring_over(keys, clock, ticks), ring_over(keys, clock, ticks)
    await ring.ensure()
    keys.away = True
    ticks.now += KEPT_SECONDS
    key_id, _ = await ring.signer()
    assert ring.held(key_id) is not None
    assert [key.kid for key in await ring.published()] == [key_id]
    with pytest.raises(StoreUnavailableError):
        await late.published()
    with pytest.raises(KeysUnavailable):
        await late.key(key_id)
    keys.away = False
    assert await late.key(key_id) is not None


async def test_another_sealing_key_opens_nothing(
    keys: FakeKeyStore, clock: FakeClock, ticks: Ticks
) -> None:
    await ring_over(keys, clock, ticks).ensure()
    other = KeyRing(keys, Sealing(bytes([1] * 32)), clock, ticks)  # type: ignore[arg-type]
    with pytest.raises(UnreadableKeyError):
        await other.ensure()
    assert len(await other.published()) == 1


def test_what_is_sealed_is_bound_to_its_name() -> None:
    sealed = SEALING.seal(b"secret", "a")
    assert SEALING.open(sealed, "a") == b"secret"
    assert sealed != SEALING.seal(b"secret", "a")
    with pytest.raises(UnreadableKeyError):
        SEALING.open(sealed, "b")


async def test_published_keys_verify_tokens(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    response = await api.call("GET", "/.well-known/jwks.json")
    assert response.headers["Cache-Control"] == "public, max-age=300"
    document = await response.json()
    assert [set(key) for key in document["keys"]] == [{"kty", "use", "alg", "kid", "n", "e"}]
    verifier = JWTVerifier(
        issuer="https://issuer.localhost",
        audience="appointments-platform",
        keys=StaticKeys(document),
        clock=clock.timestamp,
    )
    assert (await verifier.verify(ana.token)).subject == ana.id


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512", "RS256"])
async def test_forged_tokens_are_refused(api: Api, clock: FakeClock, algorithm: str) -> None:
    """Without a signature, signed with the public key as a secret, or by an unknown key."""
    ana = await api.patient()
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    document = await api.ok("GET", "/.well-known/jwks.json")
    claims = jwt.decode(ana.token, options={"verify_signature": False})
    header = {"kid": document["keys"][0]["kid"], "typ": "at+jwt"}
    secret = {"none": "", "HS256": document["keys"][0]["n"]}.get(algorithm, other)
    forged = jwt.encode({**claims, "role": "admin"}, secret, algorithm=algorithm, headers=header)
    response = await api.refused(401, "invalid_token", "GET", "/v1/users", by=forged)
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("changes", [{"token_issuer": "https://other"}, {"token_audience": "x"}])
async def test_tokens_of_another_issuer_or_audience_are_refused(
    sqlite_url: str, clock: FakeClock, aiohttp_client: AiohttpClient, changes: dict[str, str]
) -> None:
    ours, theirs = [
        Api(await aiohttp_client(create_app(settings_for(sqlite_url, **more), clock=clock)))
        for more in ({}, changes)
    ]
    ana = await theirs.patient()
    await ours.refused(401, "invalid_token", "GET", "/v1/users/me", by=ana)
    assert (await ours.sign_in(ana.email)).id == ana.id


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
async def test_first_instances_at_once_end_with_one_key(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock, kind: str
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'users.db'}"
    if kind == "mysql":
        server: MySQLServer = request.getfixturevalue("mysql_server")
        url = server.url(server.new_database())
    await migrate(url)

    async def start() -> str:
        async with (
            open_store(url, pool_size=1) as store,
            open_use_cases(settings_for(url), store, clock) as use_cases,
        ):
            return (await use_cases.keys.signer())[0]

    assert len(set(await asyncio.gather(start(), start(), start()))) == 1
