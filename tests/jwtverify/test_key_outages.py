"""What becomes of the keys when the address that publishes them fails, in every way it can."""

import asyncio
import gzip
import json

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from jwtverify import JWTVerifier, KeysUnavailable, RemoteKeys
from tests.jwtverify.key_server import KeyServer
from tests.jwtverify.minting import AUDIENCE, ISSUER, NOW, Clock, Issuer, encode_json


def padded(jwks: object, size: int) -> bytes:
    """A key set as a document of exactly so many bytes."""
    document = encode_json(jwks)
    return document + b" " * (size - len(document))


GARBAGE = {
    "empty": b"",
    "no JSON": b"<html>",
    "no object": b"[]",
    "no keys": b"{}",
    "keys of another kind": b'{"keys": {}}',
    "a key of another kind": b'{"keys": ["key"]}',
    "no UTF-8": b"\xff\xfe",
    "a repeated member": b'{"keys": [], "keys": []}',
    "nested": b'{"keys": ' + b"[" * 50_000,
    "too many keys": encode_json({"keys": [{}] * 11}),
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_no_key_set(keys: RemoteKeys, server: KeyServer, body: bytes) -> None:
    server.answer(body)
    with pytest.raises(KeysUnavailable):
        await keys.key("key-1")


@pytest.mark.parametrize("status", [201, 204, 304, 400, 401, 404, 429, 500, 502, 503])
async def test_only_ok_is_ok(
    keys: RemoteKeys, server: KeyServer, issuer: Issuer, status: int
) -> None:
    server.answer(encode_json(issuer.jwks()), status)
    with pytest.raises(KeysUnavailable, match=f"status {status}"):
        await keys.key("key-1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(keys: RemoteKeys, server: KeyServer, status: int) -> None:
    server.answer(b"", status, Location=server.other_url)
    with pytest.raises(KeysUnavailable, match=f"status {status}"):
        await keys.key("key-1")
    assert server.other_fetches == 0


async def test_the_size_is_bounded(
    keys: RemoteKeys, server: KeyServer, issuer: Issuer, time: Clock
) -> None:
    server.answer(padded(issuer.jwks(), 150 * 1024 + 1))
    with pytest.raises(KeysUnavailable, match="more than 153600 bytes"):
        await keys.key("key-1")
    server.answer(padded(issuer.jwks(), 150 * 1024))
    time.advance(1)
    assert await keys.key("key-1") is not None


async def test_the_size_is_bounded_after_decompression(
    keys: RemoteKeys, server: KeyServer, issuer: Issuer
) -> None:
    body = gzip.compress(padded(issuer.jwks(), 20_000_000))
    assert len(body) < 150 * 1024
    server.answer(body, Content_Encoding="gzip")
    with pytest.raises(KeysUnavailable, match="more than 153600 bytes"):
        await keys.key("key-1")


async def test_an_endless_answer_is_cut_off(keys: RemoteKeys, server: KeyServer) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 65_536)

    server.behaviour = endless
    with pytest.raises(KeysUnavailable, match="more than 153600 bytes"):
        await keys.key("key-1")


async def test_a_server_that_does_not_answer_is_given_up(
    server: KeyServer, session: aiohttp.ClientSession
) -> None:
    server.gate.clear()
    keys = RemoteKeys(server.url, session, timeout=0.05)
    with pytest.raises(KeysUnavailable, match="TimeoutError"):
        await keys.key("key-1")


async def test_a_body_that_does_not_end_is_given_up(
    server: KeyServer, session: aiohttp.ClientSession
) -> None:
    async def stalling(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b'{"keys": [')
        await server.gate.wait()
        return answer

    server.gate.clear()
    server.behaviour = stalling
    keys = RemoteKeys(server.url, session, timeout=0.05)
    with pytest.raises(KeysUnavailable, match="TimeoutError"):
        await keys.key("key-1")


async def test_a_connection_that_breaks_is_a_failure(keys: RemoteKeys, server: KeyServer) -> None:
    async def breaking(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b'{"keys": [')
        assert request.transport is not None
        request.transport.close()
        return answer

    server.behaviour = breaking
    with pytest.raises(KeysUnavailable):
        await keys.key("key-1")


async def test_what_is_not_http_is_a_failure(session: aiohttp.ClientSession) -> None:
    async def nonsense(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(nonsense, "127.0.0.1", 0) as running:
        host, port = running.sockets[0].getsockname()
        with pytest.raises(KeysUnavailable):
            await RemoteKeys(f"http://{host}:{port}/keys", session).key("key-1")


async def test_nobody_listening_is_a_failure(session: aiohttp.ClientSession) -> None:
    url = f"http://127.0.0.1:{unused_port()}/keys"
    with pytest.raises(KeysUnavailable, match=url):
        await RemoteKeys(url, session).key("key-1")


async def test_without_any_keys_nothing_is_said_of_a_token(
    keys: RemoteKeys, server: KeyServer, issuer: Issuer
) -> None:
    server.answer(b"", 500)
    verifier = JWTVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys, clock=lambda: NOW)
    with pytest.raises(KeysUnavailable):
        await verifier.verify(issuer.token())
    assert verifier.cached(issuer.token()) is None


async def test_a_failed_first_fetch_is_tried_again_after_a_second(
    keys: RemoteKeys, server: KeyServer, time: Clock
) -> None:
    server.answer(b"", 500)
    for _ in range(20):
        with pytest.raises(KeysUnavailable, match="status 500"):
            await keys.key("key-1")
        time.advance(0.049)
    assert server.fetches == 1
    server.behaviour = None
    time.advance(0.1)
    assert await keys.key("key-1") is not None
    assert server.fetches == 2


async def test_all_who_wait_for_the_first_fetch_learn_that_it_failed(
    keys: RemoteKeys, server: KeyServer
) -> None:
    server.answer(b"", 500)
    answers = await asyncio.gather(*(keys.key("key-1") for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {KeysUnavailable}
    assert server.fetches == 1


async def test_the_old_keys_outlive_an_outage_and_it_is_logged(
    keys: RemoteKeys, server: KeyServer, time: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    key = await keys.key("key-1")
    server.answer(b"", 500)
    time.advance(300)
    assert await keys.key("key-1") is key
    assert server.fetches == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"key set at {server.url} not fetched: status 500" in caplog.text


async def test_a_stale_set_is_tried_again_at_most_every_thirty_seconds(
    keys: RemoteKeys, server: KeyServer, time: Clock
) -> None:
    key = await keys.key("key-1")
    server.answer(b"", 500)
    time.advance(300)
    for _ in range(10):
        assert await keys.key("key-1") is key
        assert keys.held("key-1") is key
        assert await keys.key("unknown") is None
        time.advance(2.9)
    assert server.fetches == 2


async def test_an_outage_keeps_nobody_waiting_under_traffic(
    keys: RemoteKeys, server: KeyServer, issuer: Issuer, time: Clock
) -> None:
    key = await keys.key("key-1")
    server.answer(b"", 500)
    time.advance(300)
    assert await keys.key("key-1") is key
    server.behaviour = None
    server.jwks = {"keys": [issuer.jwk(), {**issuer.jwk(), "kid": "key-2"}]}
    server.gate.clear()
    server.arrived.clear()
    time.advance(30)
    assert await keys.key("key-1") is key, "the next attempt is made in the background"
    await server.arrived.wait()
    assert keys.held("key-1") is key
    server.gate.set()
    assert await keys.key("key-2") is not None, "that attempt was still under way"
    assert server.fetches == 3


async def test_an_unknown_key_during_an_outage_is_unknown(
    keys: RemoteKeys, server: KeyServer, time: Clock
) -> None:
    key = await keys.key("key-1")
    server.answer(json.dumps({"keys": None}).encode())
    time.advance(30)
    assert await keys.key("unknown") is None
    assert await keys.key("key-1") is key
    assert server.fetches == 2
