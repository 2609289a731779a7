"""Signing keys change under running instances, and no good token is ever refused for it."""

import asyncio
import itertools
import threading
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient
from sqlalchemy import delete

from jwtverify import JWTVerifier, RemoteKeys, StaticKeys, UnknownKeyError
from servicekit.testing import FakeClock
from tests.users.api import ADMIN_EMAIL, PASSWORD, Api
from tests.users.conftest import SEALING_KEY
from tests.users.test_keys import SEALING, FakeKeyStore
from tests.users.test_store import make, noted
from users_service.app import create_app
from users_service.domain.audit import Entry
from users_service.domain.keys import (
    ACCESS_TOKEN_LIFETIME,
    KEPT_AFTERWARDS,
    KEY_SET_LIFETIME,
    PUBLISHED_AHEAD,
    RING_LIFETIME,
    RegisteredService,
    SigningKey,
)
from users_service.errors import KeyChangeRefusedError
from users_service.service.keys import FACTORS, KeyRing, Sealing, jwk, new_private_key
from users_service.service.rotation import Rotation
from users_service.service.tokens import TokenIssuer
from users_service.settings import UsersSettings
from users_service.store_mysql import MySQLStore
from users_service.store_mysql.tables import signing_keys

AUDIENCE, ISSUER = "appointments-platform", "https://issuer.localhost"
LEEWAY = timedelta(seconds=30)
OWN_SEALING = Sealing(urlsafe_b64decode(SEALING_KEY))


@pytest.fixture(scope="module")
def private_keys() -> list[rsa.RSAPrivateKey]:
    """Made once: it takes a while, and a key is known by its id."""
    return [new_private_key() for _ in range(4)]


@pytest.fixture
async def rotation(
    store: MySQLStore, clock: FakeClock, private_keys: list[rsa.RSAPrivateKey]
) -> AsyncIterator[Rotation]:
    """Keys outlive a test in the database that all tests share, so what is made here goes again."""
    made = itertools.cycle(private_keys)
    before = await store.signing_keys()
    yield Rotation(store, OWN_SEALING, clock, lambda: next(made))
    await store._database.execute(delete(signing_keys))
    for key in before:
        await store.add_signing_key(key, noted(clock))


class FakeRemote:
    """As much of an HTTP session as RemoteKeys needs: each fetch goes to the next instance."""

    def __init__(self, rings: Collection[KeyRing]) -> None:
        self._rings = itertools.cycle(rings)

    @asynccontextmanager
    async def get(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        keys = await next(self._rings).published()
        yield _Answer(aiohttp.web.json_response({"keys": [jwk(key) for key in keys]}).body)


class _Answer:
    status = 200

    def __init__(self, body: Any) -> None:
        self._body = body
        self.content = self

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._body


class MoreKeys(FakeKeyStore):
    """Keys in memory that can be retired."""

    async def retire_signing_key(
        self, key_id: str, others: Collection[str], now: datetime, entry: Entry | None = None
    ) -> bool:
        self.keys = [
            replace(key, retired_at=now) if key.key_id == key_id else key for key in self.keys
        ]
        return True


class World:
    """Two instances, a verifier with its cache, and every token that is still good."""

    def __init__(self, private_keys: list[rsa.RSAPrivateKey]) -> None:
        self.clock = FakeClock()
        self.store = MoreKeys()
        made = itertools.cycle(private_keys)
        self.rotation = Rotation(
            self.store,  # type: ignore[arg-type]  # as much as it needs
            SEALING,
            self.clock,
            lambda: next(made),
        )
        self.rings = [
            KeyRing(self.store, SEALING, self.clock, self.clock.timestamp)  # type: ignore[arg-type]
            for _ in range(2)
        ]
        self.issuers = [
            TokenIssuer(ring, issuer=ISSUER, audience=AUDIENCE, clock=self.clock)
            for ring in self.rings
        ]
        self.remote = RemoteKeys(
            "http://users/keys",
            FakeRemote(self.rings),  # type: ignore[arg-type]
            min_refetch=300,  # as a verifier that fetches for no unknown key
            clock=self.clock.timestamp,
        )
        self.verifier = JWTVerifier(
            issuer=ISSUER, audience=AUDIENCE, keys=self.remote, clock=self.clock.timestamp
        )
        self.tokens: list[tuple[datetime, str]] = []

    async def issue(self, instance: int) -> None:
        service = RegisteredService("files", frozenset({"erase"}), "")
        token = await self.issuers[instance].for_service(service)
        self.tokens.append((self.clock() + timedelta(seconds=token.expires_in), token.text))
        long = await self.issuers[instance]._issue("ana", {}, ACCESS_TOKEN_LIFETIME)
        self.tokens.append((self.clock() + ACCESS_TOKEN_LIFETIME, long.text))

    async def rotate(self) -> None:
        try:
            await self.rotation.rotate()
        except KeyChangeRefusedError:
            assert [one.state for one in await self.rotation.list()].count("published") == 1

    async def check(self) -> None:
        """Every token that is good, its leeway included, is taken."""
        self.tokens = [(end, text) for end, text in self.tokens if self.clock() < end + LEEWAY]
        for _, text in self.tokens:
            await self.verifier.verify(text)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("issue"), st.integers(0, 1)),
        st.tuples(st.just("rotate"), st.just(0)),
        st.tuples(st.just("fetch"), st.integers(0, 1)),
        # Just before and at the ends of what is kept somewhere, and anything else.
        st.tuples(
            st.just("advance"),
            st.sampled_from([1, 14, 15, 29, 30, 240, 299, 300, 330, 344, 345, 346, 900, 1005])
            | st.integers(1, 1200),
        ),
    ),
    max_size=40,
)


@given(steps=STEPS)
# A verifier fetches just before the last instance knows the key, and keeps that for as long as it
# may.
@example(
    steps=[
        ("fetch", 0),
        ("rotate", 0),
        ("advance", 14),
        ("issue", 0),
        ("advance", 299),
        ("issue", 1),
    ]
)
# The old key signs at its last moment, and its tokens are presented at theirs.
@example(steps=[("rotate", 0), ("advance", 344), ("issue", 0), ("advance", 902), ("advance", 27)])
def test_no_good_token_is_refused_whatever_happens_when(
    private_keys: list[rsa.RSAPrivateKey], steps: list[tuple[str, int]]
) -> None:
    async def run() -> None:
        world = World(private_keys)
        await world.rings[0].ensure()
        for what, number in steps:
            if what == "issue":
                await world.issue(number)
            elif what == "rotate":
                await world.rotate()
            elif what == "fetch":
                await world.rings[number].published()
            else:
                world.clock.advance(timedelta(seconds=number))
            await world.check()
        await world.remote.aclose()

    asyncio.run(run())


async def test_two_instances_and_a_verifier_through_several_rotations(
    settings: UsersSettings,
    clock: FakeClock,
    rotation: Rotation,
    api: Api,
    aiohttp_client: AiohttpClient,
) -> None:
    """The real app over a real database, stepped through three rotations every 15 seconds."""
    apps = [
        Api(await aiohttp_client(create_app(settings, clock=clock, monotonic=clock.timestamp)))
        for _ in range(2)
    ]
    person = await api.sign_in(ADMIN_EMAIL)
    url = str(apps[0].client.make_url("/.well-known/jwks.json"))
    good: list[tuple[datetime, str]] = []
    used: set[str] = set()
    async with aiohttp.ClientSession() as session:
        keys = RemoteKeys(url, session, clock=clock.timestamp)
        verifier = JWTVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys, clock=clock.timestamp)
        for step in range(240):
            if step % 80 == 10:
                await rotation.rotate()
            if step % 4 == 0:
                response = await apps[step // 4 % 2].login(person.email, PASSWORD)
                token = (await response.json())["access_token"]
                good.append((clock() + ACCESS_TOKEN_LIFETIME, token))
            good = [(end, text) for end, text in good if clock() < end + LEEWAY]
            for _, text in good:
                await verifier.verify(text)
            used |= {one.key.key_id for one in await rotation.list() if one.state == "signing"}
            clock.advance(timedelta(seconds=15))
        await keys.aclose()
    assert len(used) == 4


async def test_a_retired_keys_tokens_are_refused_once_what_is_kept_lapses(
    private_keys: list[rsa.RSAPrivateKey],
) -> None:
    world = World(private_keys)
    await world.issue(0)
    await world.check()
    token = world.tokens[1][1]
    first = (await world.rotation.list())[0].key.key_id
    await world.rotation.rotate(at_once=True)
    await world.rotation.retire(first)
    own = JWTVerifier(
        issuer=ISSUER, audience=AUDIENCE, keys=world.rings[0], clock=world.clock.timestamp
    )
    world.clock.advance(RING_LIFETIME)
    with pytest.raises(UnknownKeyError):  # by users itself, whose key was at hand
        await own.verify(token)
    await world.verifier.verify(token)  # a verifier that hasn't fetched since
    world.clock.advance(KEY_SET_LIFETIME)
    with pytest.raises(UnknownKeyError):
        await world.verifier.verify(token)


async def test_the_life_of_a_key(store: MySQLStore, rotation: Rotation, clock: FakeClock) -> None:
    async def states() -> list[str]:
        return [one.state for one in await rotation.list()]

    assert await states() == ["signing"]
    made = await rotation.rotate()
    assert made.signs_from == clock() + PUBLISHED_AHEAD
    assert await states() == ["signing", "published"]
    with pytest.raises(KeyChangeRefusedError, match="published already"):
        await rotation.rotate()
    clock.advance(PUBLISHED_AHEAD)
    assert await states() == ["old", "signing"]
    clock.advance(ACCESS_TOKEN_LIFETIME + timedelta(minutes=2))
    assert await states() == ["over", "signing"]
    now = await rotation.rotate(at_once=True)
    assert now.signs_from == clock()
    assert await states() == ["over", "old", "signing"]
    await rotation.retire(made.key_id)
    assert await states() == ["over", "retired", "signing"]
    assert await store.forget(clock() + KEPT_AFTERWARDS - timedelta(hours=1)) == 0
    assert await store.forget(clock() + KEPT_AFTERWARDS + timedelta(hours=1)) == 2
    assert await states() == ["signing"]


async def test_the_only_usable_key_stays(
    store: MySQLStore, rotation: Rotation, clock: FakeClock
) -> None:
    first = (await rotation.list())[0].key
    with pytest.raises(KeyChangeRefusedError, match="rotate --now"):
        await rotation.retire(first.key_id)
    waiting = await rotation.rotate()
    with pytest.raises(KeyChangeRefusedError, match="rotate --now"):
        await rotation.retire(first.key_id)
    with pytest.raises(KeyChangeRefusedError, match="no key"):
        await rotation.retire("nothing")
    clock.advance(PUBLISHED_AHEAD)
    outcomes = await asyncio.gather(
        rotation.retire(first.key_id), rotation.retire(waiting.key_id), return_exceptions=True
    )
    assert sorted(isinstance(one, SigningKey) for one in outcomes) == [False, True]
    assert [key.retired_at is None for key in await store.signing_keys()].count(True) == 1


async def test_of_two_rotations_at_once_one_wins(
    store: MySQLStore, rotation: Rotation, clock: FakeClock
) -> None:
    both_have_looked = threading.Barrier(2)

    def generate() -> rsa.RSAPrivateKey:
        both_have_looked.wait(30)
        return rotation._generate()

    racing = Rotation(store, OWN_SEALING, clock, generate)
    for at_once in (False, True):
        outcomes = await asyncio.gather(
            *(racing.rotate(at_once=at_once) for _ in range(2)), return_exceptions=True
        )
        assert sorted(isinstance(one, SigningKey) for one in outcomes) == [False, True]
        [refused] = [one for one in outcomes if not isinstance(one, SigningKey)]
        assert isinstance(refused, KeyChangeRefusedError)
    assert [key.generation for key in sorted(await store.signing_keys(), key=_generation)] == [
        1,
        2,
        3,
    ]


async def test_no_more_keys_are_published_than_verifiers_take(
    store: MySQLStore, rotation: Rotation, clock: FakeClock
) -> None:
    for _ in range(9):
        await rotation.rotate(at_once=True)
        clock.advance(timedelta(seconds=1))
    with pytest.raises(KeyChangeRefusedError, match="as many as verifiers take"):
        await rotation.rotate(at_once=True)
    published = await KeyRing(store, OWN_SEALING, clock).published()
    document = aiohttp.web.json_response({"keys": [jwk(key) for key in published]})
    assert isinstance(document.body, bytes)
    assert len(document.body) < 150 * 1024
    StaticKeys({"keys": [jwk(key) for key in published]})


async def test_resealed_keys_need_the_previous_sealing_key_no_more(
    store: MySQLStore, rotation: Rotation, clock: FakeClock
) -> None:
    old, new = bytes(range(32)), bytes([7] * 32)
    both = Rotation(store, Sealing(new, old), clock)
    assert await both.reseal() == 1
    assert await both.reseal() == 0
    await KeyRing(store, Sealing(new), clock).ensure()
    assert await Rotation(store, Sealing(old, new), clock).reseal() == 1
    await KeyRing(store, Sealing(old), clock).ensure()


async def test_resealed_factors_need_the_previous_sealing_key_no_more(
    store: MySQLStore, rotation: Rotation, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of one page and of the next; what is only begun as well."""
    monkeypatch.setattr("users_service.service.rotation._FACTORS_AT_ONCE", 2)
    old, new = bytes(range(32)), bytes([7] * 32)
    people = [make(clock) for _ in range(5)]
    for person in people:
        await store.add_user(person, "", noted(clock))
        sealed = Sealing(old).of(FACTORS).seal(person.id.encode(), person.id)
        assert await store.begin_factor(person.id, sealed, clock())
    both = Rotation(store, Sealing(new, old), clock)
    assert await both.reseal() == 6  # with the signing key
    assert await both.reseal() == 0
    for person in people:
        factor = (await store.factor_state(person.id)).factor
        assert factor is not None
        assert Sealing(new).of(FACTORS).open(factor.sealed, person.id) == person.id.encode()


def _generation(key: SigningKey) -> int:
    return key.generation
