"""Keys, an issuer that signs with one, a verifier that trusts it, and a server of key sets."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa

from jwtverify import JWTVerifier, RemoteKeys, StaticKeys
from tests.jwtverify.key_server import KeyServer
from tests.jwtverify.minting import AUDIENCE, ISSUER, NOW, Clock, Issuer


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """The issuer whose key is published."""
    return Issuer(rsa.generate_private_key(65537, 2048), "key-1")


@pytest.fixture(scope="session")
def stranger() -> Issuer:
    """Somebody with a key that isn't published, who calls it by the published one's id."""
    return Issuer(rsa.generate_private_key(65537, 2048), "key-1")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def verifier(issuer: Issuer, clock: Clock) -> JWTVerifier:
    keys = StaticKeys(issuer.jwks())
    return JWTVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys, clock=clock)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def server(issuer: Issuer) -> AsyncIterator[KeyServer]:
    """A server that publishes the issuer's key set, until told otherwise."""
    keys = KeyServer(issuer.jwks())
    async with TestServer(keys.app) as running:
        keys.url = str(running.make_url("/keys"))
        keys.other_url = str(running.make_url("/other"))
        yield keys
        keys.gate.set()  # a held-back answer would keep the server from closing


@pytest.fixture
def time() -> Clock:
    """What the key set's own clock shows."""
    return Clock(1_000.0)


@pytest.fixture
async def keys(
    server: KeyServer, session: aiohttp.ClientSession, time: Clock
) -> AsyncIterator[RemoteKeys]:
    keys = RemoteKeys(server.url, session, clock=time)
    yield keys
    await keys.aclose()
