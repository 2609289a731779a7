"""The published key set: when it is fetched, how often, and by whom."""

import asyncio

import aiohttp
import pytest

from jwtverify import JWTVerifier, KeysUnavailable, RemoteKeys, UnknownKeyError
from tests.jwtverify.key_server import KeyServer
from tests.jwtverify.minting import AUDIENCE, ISSUER, NOW, Clock, Issuer


async def until_fetched(keys: RemoteKeys) -> None:
    """Waits for the fetch that is under way: whoever asks for an unknown key shares it."""
    assert await keys.key("unknown") is None


async def test_nothing_is_fetched_before_it_is_needed(keys: RemoteKeys, server: KeyServer) -> None:
    assert keys.held("key-1") is None
    assert server.fetches == 0


async def test_a_set_is_fetched_once_and_kept(
    keys: RemoteKeys, server: KeyServer, time: Clock
) -> None:
    key = await keys.key("key-1")
    assert key is not None
    assert key.kid == "key-1"
    time.advance(239)
    assert await keys.key("key-1") is key
    assert keys.held("key-1") is key
    assert server.fetches == 1


async def test_all_who_need_a_fetch_share_one(keys: RemoteKeys, server: KeyServer) -> None:
    server.gate.clear()
    callers = [asyncio.create_task(keys.key("key-1")) for _ in range(50)]
    await server.arrived.wait()
    late = asyncio.create_task(keys.key("unknown"))
    server.gate.set()
    found = await asyncio.gather(*callers)
    assert None not in found
    assert await late is None
    assert server.fetches == 1


async def test_a_caller_who_gives_up_does_not_end_the_fetch(
    keys: RemoteKeys, server: KeyServer
) -> None:
    server.gate.clear()
    first = asyncio.create_task(keys.key("key-1"))
    await server.arrived.wait()
    second = asyncio.create_task(keys.key("key-1"))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    server.gate.set()
    assert await second is not None
    assert server.fetches == 1


async def test_a_set_is_renewed_ahead_without_anybody_waiting(
    keys: RemoteKeys, server: KeyServer, issuer: Issuer, time: Clock
) -> None:
    old = await keys.key("key-1")
    server.jwks = {"keys": [issuer.jwk(), {**issuer.jwk(), "kid": "key-2"}]}
    server.gate.clear()
    server.arrived.clear()
    time.advance(240)
    assert keys.held("key-1") is None, "somebody must be sent to start the renewal"
    assert await keys.key("key-1") is old
    await server.arrived.wait()
    assert keys.held("key-1") is old
    assert await keys.key("key-1") is old
    server.gate.set()
    await until_fetched(keys)
    assert server.fetches == 2
    assert keys.held("key-1") == old
    assert keys.held("key-2") is not None


async def test_the_pause_between_fetches_bounds_the_renewal_too(
    server: KeyServer, session: aiohttp.ClientSession, time: Clock
) -> None:
    keys = RemoteKeys(server.url, session, lifetime=30, min_refetch=30, clock=time)
    key = await keys.key("key-1")
    time.advance(29.9)
    assert keys.held("key-1") is key
    assert await keys.key("unknown") is None
    assert server.fetches == 1


async def test_an_expired_set_is_not_believed(
    keys: RemoteKeys, server: KeyServer, issuer: Issuer, time: Clock
) -> None:
    await keys.key("key-1")
    server.jwks = {"keys": [{**issuer.jwk(), "kid": "key-2"}]}
    time.advance(300)
    assert keys.held("key-1") is None
    assert await keys.key("key-1") is None
    assert server.fetches == 2


async def test_who_waits_for_an_expired_set_waits_for_the_renewal_under_way(
    keys: RemoteKeys, server: KeyServer, time: Clock
) -> None:
    await keys.key("key-1")
    server.gate.clear()
    server.arrived.clear()
    server.jwks = {"keys": []}
    time.advance(240)
    await keys.key("key-1")
    await server.arrived.wait()
    time.advance(60)
    assert keys.held("key-1") is None
    waiting = asyncio.create_task(keys.key("key-1"))
    server.gate.set()
    assert await waiting is None
    assert server.fetches == 2


async def test_an_unknown_key_fetches_at_most_every_thirty_seconds(
    keys: RemoteKeys, server: KeyServer, time: Clock
) -> None:
    await keys.key("key-1")
    for _ in range(10):
        assert await keys.key("unknown") is None
        time.advance(2.9)
    assert server.fetches == 1
    time.advance(1)
    for number in range(10):
        assert await keys.key(f"unknown-{number}") is None
    assert server.fetches == 2


async def test_a_new_key_is_found_and_an_old_one_forgotten(
    keys: RemoteKeys, server: KeyServer, issuer: Issuer, stranger: Issuer, time: Clock
) -> None:
    verifier = JWTVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys, clock=lambda: NOW)
    old_token = issuer.token()
    new_token = stranger.token(header={"kid": "key-2"})
    await verifier.verify(old_token)
    with pytest.raises(UnknownKeyError):
        await verifier.verify(new_token)

    server.jwks = {"keys": [issuer.jwk(), {**stranger.jwk(), "kid": "key-2"}]}
    time.advance(30)
    assert (await verifier.verify(new_token)).subject == "user-1"
    assert verifier.cached(old_token) is not None

    server.jwks = {"keys": [{**stranger.jwk(), "kid": "key-2"}]}
    time.advance(300)
    with pytest.raises(UnknownKeyError):
        await verifier.verify(old_token)
    assert verifier.cached(new_token) is not None


async def test_an_empty_set_is_a_set(keys: RemoteKeys, server: KeyServer) -> None:
    server.jwks = {"keys": []}
    assert await keys.key("key-1") is None
    assert await keys.key("key-1") is None
    assert server.fetches == 1


async def test_closing_ends_the_fetch_under_way(keys: RemoteKeys, server: KeyServer) -> None:
    server.gate.clear()
    waiting = asyncio.create_task(keys.key("key-1"))
    await server.arrived.wait()
    await keys.aclose()
    with pytest.raises(KeysUnavailable):
        await waiting
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "jwtverify key set"]


async def test_once_closed_nothing_is_fetched_and_the_keys_stay(
    keys: RemoteKeys, server: KeyServer, time: Clock
) -> None:
    key = await keys.key("key-1")
    await keys.aclose()
    time.advance(1_000)
    assert await keys.key("key-1") is key
    assert await keys.key("unknown") is None
    assert server.fetches == 1


async def test_a_defect_is_raised_and_not_taken_for_an_outage(
    keys: RemoteKeys, session: aiohttp.ClientSession
) -> None:
    await session.close()
    with pytest.raises(RuntimeError, match="closed"):
        await keys.key("key-1")


@pytest.mark.parametrize("url", ["", "keys", "/keys", "ftp://host/keys", "http://", "file:///keys"])
async def test_an_address_is_absolute(session: aiohttp.ClientSession, url: str) -> None:
    with pytest.raises(ValueError):
        RemoteKeys(url, session)


async def test_a_lifetime_is_no_shorter_than_the_pause(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ValueError, match="lifetime"):
        RemoteKeys("https://host/keys", session, lifetime=29, min_refetch=30)
