"""Bodies pass as they come, no faster than the reader takes them."""

import asyncio

import pytest

from tests.gateway.conftest import StartGateway
from tests.gateway.support import DEADLINE, World, exchange, get, ok, read_all, read_head, status_of

MIB = 1024 * 1024
BODY = 96 * MIB
# What the kernel's four socket buffers hold on the loopback, with ample room; the gateway's own
# share is below 1 MiB.
HELD = 32 * MIB
STALLED = 0.5  # a writer that waits this long waits for the reader


async def write_until_stalled(writer: asyncio.StreamWriter, total: int) -> int:
    """Write up to this many bytes; returns how many went before the reader stopped reading."""
    sent = 0
    while sent < total:
        writer.write(b"x" * 65_536)
        sent += 65_536
        try:
            await asyncio.wait_for(writer.drain(), STALLED)
        except TimeoutError:
            return sent
    return sent


async def test_an_answer_waits_for_a_slow_reader(world: World, start_gateway: StartGateway) -> None:
    stalled: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health"):
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY)
        sent = await write_until_stalled(writer, BODY)
        stalled.set_result(sent)
        writer.write(b"x" * (BODY - sent))
        await writer.drain()
        await reader.read()

    gateway = await start_gateway(users=[await world.target(script)])
    reader, writer = await world.connect(gateway, limit=1024)
    writer.write(get("/v1/users"))
    await read_head(reader)
    assert await asyncio.wait_for(stalled, DEADLINE) < HELD
    received = 0
    while data := await asyncio.wait_for(reader.read(MIB), DEADLINE):
        received += len(data)
    assert received == BODY
    writer.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upload_waits_for_a_slow_target(
    world: World, start_gateway: StartGateway, chunked: bool
) -> None:
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health"):
            return
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's own is private
        await go_on.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        if chunked:
            await reader.readline()
        received = 0
        while received < BODY:
            received += len(await reader.read(min(MIB, BODY - received)))
        writer.write(ok(b"%d" % received))

    gateway = await start_gateway(users=[await world.target(script)])
    reader, writer = await world.connect(gateway, limit=1024)
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % BODY
    writer.write(
        b"POST /v1/users HTTP/1.1\r\nHost: c\r\nConnection: close\r\n" + framing + b"\r\n\r\n"
    )
    if chunked:
        writer.write(b"%x\r\n" % BODY)
    sent = await write_until_stalled(writer, BODY)
    assert sent < HELD
    go_on.set()
    writer.write(b"x" * (BODY - sent) + (b"\r\n0\r\n\r\n" if chunked else b""))
    assert (await read_all(reader)).endswith(b"\r\n\r\n%d" % BODY)
    writer.close()


async def test_the_first_part_of_an_answer_comes_before_the_last_is_written(
    world: World, start_gateway: StartGateway
) -> None:
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await go_on.wait()
        writer.write(b"4\r\nlast\r\n0\r\n\r\n")

    gateway = await start_gateway(users=[await world.target(script)])
    reader, writer = await world.connect(gateway, limit=1024)
    writer.write(get("/v1/users"))
    await read_head(reader)
    assert await asyncio.wait_for(reader.readexactly(10), DEADLINE) == b"5\r\nfirst\r\n"
    go_on.set()
    assert await read_all(reader) == b"4\r\nlast\r\n0\r\n\r\n"
    writer.close()


async def test_both_directions_flow_at_once(world: World, start_gateway: StartGateway) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        for _ in range(10):
            writer.write((await reader.readexactly(3)).upper())

    gateway = await start_gateway(users=[await world.target(script)])
    reader, writer = await world.connect(gateway, limit=1024)
    writer.write(b"POST /v1/users HTTP/1.1\r\nHost: c\r\nContent-Length: 30\r\n\r\n")
    assert b"Connection: close" in await read_head(reader)
    for _ in range(10):
        writer.write(b"abc")
        assert await asyncio.wait_for(reader.readexactly(3), DEADLINE) == b"ABC"
    assert await read_all(reader) == b""
    writer.close()


async def test_100_continue_is_the_targets_to_say(
    world: World, start_gateway: StartGateway
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Expect: 100-continue" in head:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.write(ok(await reader.readexactly(5)))

    gateway = await start_gateway(users=[await world.target(script)])
    reader, writer = await world.connect(gateway, limit=1024)
    writer.write(
        b"POST /v1/users HTTP/1.1\r\nHost: c\r\nContent-Length: 5\r\nConnection: close\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    assert await read_head(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"hello")
    assert (await read_all(reader)).endswith(b"\r\n\r\nhello")
    writer.close()


async def test_a_refused_expectation_ends_the_connection(
    world: World, start_gateway: StartGateway
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    gateway = await start_gateway(users=[await world.target(script)])
    answer = await exchange(
        gateway,
        b"POST /v1/users HTTP/1.1\r\nHost: c\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    )
    assert answer == (
        b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )


async def test_an_early_answer_reaches_a_client_that_is_still_sending(
    world: World, start_gateway: StartGateway
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    gateway = await start_gateway(users=[await world.target(script)])
    reader, writer = await world.connect(gateway, limit=1024)
    writer.write(b"POST /v1/users HTTP/1.1\r\nHost: c\r\nContent-Length: 9000000\r\n\r\n")
    for _ in range(90):
        writer.write(b"x" * 100_000)
        await writer.drain()
    assert status_of(await read_all(reader)) == 413
    writer.close()


async def test_interim_answers_pass_but_not_to_http_1_0(
    world: World, start_gateway: StartGateway
) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(hints + ok())

    gateway = await start_gateway(users=[await world.target(script)])
    assert (await exchange(gateway, get("/v1/users"))).startswith(hints + b"HTTP/1.1 200 OK")
    old = await exchange(gateway, b"GET /v1/users HTTP/1.0\r\n\r\n")
    assert old.startswith(b"HTTP/1.1 200 OK")
