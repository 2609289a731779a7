"""Requests meant to be read differently by the gateway and the target behind it."""

import asyncio

import pytest

from tests.gateway.conftest import StartGateway
from tests.gateway.support import DEADLINE, Recorder, World, exchange, get, read_all, status_of

POST = b"POST /v1/users HTTP/1.1\r\nHost: c\r\n"
SMUGGLED = b"GET /v1/users/smuggled HTTP/1.1\r\nHost: c\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
        (POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"X: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"X: 1\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"X: 1\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;x\n2\r\na\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
        (b"GET /v1/users HTTP/1.1\nHost: c\n\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /" + b"a" * 100_000, 414),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: c\r\n\r\n", 414),
        (POST + b"X: " + b"a" * 17_000 + b"\r\n\r\n", 400),
        (POST + b"X: " + b"a" * 100_000, 400),
        (POST + b"X: a\r\n" * 20_000 + b"\r\n", 400),
        (get("/v1/users", "X-Forwarded-For: " + ", ".join(["1.1.1.1"] * 31)), 463),
        (get("/v1/users", method="TRACE"), 405),
    ],
)
async def test_is_refused_in_plain_text_and_nothing_after_it_is_read(
    world: World, start_gateway: StartGateway, request_bytes: bytes, status: int
) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)])
    answer = await exchange(gateway, request_bytes + SMUGGLED)
    assert status_of(answer) == status
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer
    assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in answer
    assert not any(b"smuggled" in head for head in recorder.heads)


async def test_what_follows_a_body_is_the_next_request_and_nothing_else(
    world: World, start_gateway: StartGateway
) -> None:
    bodies = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"chunked" in head:
                bodies.append(await reader.readuntil(b"0\r\n\r\n"))
            elif b"Content-Length: 44" in head:
                bodies.append(await reader.readexactly(44))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    gateway = await start_gateway(users=[await world.target(script)])
    inner = b"GET /v1/users/a HTTP/1.1\r\nHost: clinic01\r\n\r\n"
    assert len(inner) == 44
    answer = await exchange(
        gateway,
        POST
        + b"Content-Length: 44\r\n\r\n"
        + inner
        + POST
        + b"Transfer-Encoding: chunked\r\n\r\n2c\r\n"
        + inner
        + b"\r\n0\r\n\r\n"
        + get("/v1/users"),
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert bodies == [inner, b"2c\r\n" + inner + b"\r\n0\r\n\r\n"]


async def test_a_head_may_come_byte_by_byte(world: World, start_gateway: StartGateway) -> None:
    gateway = await start_gateway(users=[await world.target(Recorder())])
    reader, writer = await world.connect(gateway)
    for byte in b"\r\n" + get("/v1/users"):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert status_of(await read_all(reader)) == 200
    writer.close()


async def test_headers_up_to_the_limit_pass(world: World, start_gateway: StartGateway) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)])
    values = [f"X-{number}: " + "a" * 16_000 for number in range(4)]
    assert status_of(await exchange(gateway, get("/v1/users", *values))) == 200
    assert all(value.encode() in recorder.heads[0] for value in values)


async def test_a_target_can_not_add_an_answer_to_another_request(
    world: World, start_gateway: StartGateway
) -> None:
    """Bytes after an answer's end belong to nobody, so the connection is not used again."""
    gateway = await start_gateway(
        users=[await world.target(Recorder(b"HTTP/1.1 204 No Content\r\n\r\n" + b"HTTP/1.1 666 X"))]
    )
    answers = [await exchange(gateway, get("/v1/users")) for _ in range(3)]
    assert [status_of(answer) for answer in answers] == [204] * 3
    assert not any(b"666" in answer for answer in answers)


async def test_many_clients_that_send_nothing_do_not_stop_others(
    world: World, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(users=[await world.target(Recorder())])
    idle = [await world.connect(gateway) for _ in range(100)]
    answer = await asyncio.wait_for(exchange(gateway, get("/v1/users")), DEADLINE)
    assert status_of(answer) == 200
    for _, writer in idle:
        writer.close()
