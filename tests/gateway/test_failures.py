"""The load balancer's own 4xx and 5xx, and what is never sent twice."""

import asyncio

import pytest

from tests.gateway.conftest import StartGateway
from tests.gateway.support import (
    DEADLINE,
    Recorder,
    Script,
    World,
    exchange,
    get,
    ok,
    read_all,
    read_head,
    status_of,
)


async def test_503_where_no_target_is_registered(start_gateway: StartGateway) -> None:
    answer = await exchange(await start_gateway(), get("/v1/users"))
    assert status_of(answer) == 503
    assert answer.endswith(b"\r\n\r\n503 Service Unavailable\n")


async def test_502_where_every_target_refuses(
    start_gateway: StartGateway, refusing_url: str
) -> None:
    gateway = await start_gateway(users=[refusing_url])
    assert status_of(await exchange(gateway, get("/v1/users"))) == 502


@pytest.mark.parametrize("dead", ["refusing_url", "silent_url"])
async def test_a_target_that_takes_no_connection_is_passed_over(
    world: World, start_gateway: StartGateway, request: pytest.FixtureRequest, dead: str
) -> None:
    """Also a request that may not be sent twice: nothing of it can have been sent."""
    recorder = Recorder(well=False)  # so that none is healthy, and every second turn is the dead's
    gateway = await start_gateway(
        users=[request.getfixturevalue(dead), await world.target(recorder)],
        connect_timeout_seconds=0.1,
    )
    post = b"POST /v1/users HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    assert [status_of(await exchange(gateway, post)) for _ in range(4)] == [200] * 4
    assert len(recorder.heads) == 4


async def test_504_where_no_target_takes_a_connection_and_one_does_not_even_refuse(
    start_gateway: StartGateway, silent_url: str, refusing_url: str
) -> None:
    gateway = await start_gateway(users=[silent_url, refusing_url], connect_timeout_seconds=0.1)
    statuses = [status_of(await exchange(gateway, get("/v1/users"))) for _ in range(2)]
    assert statuses == [504, 504]  # in either order


async def test_504_where_the_idle_timeout_is_the_shorter_one(
    start_gateway: StartGateway, silent_url: str
) -> None:
    gateway = await start_gateway(
        users=[silent_url], idle_timeout_seconds=0.05, connect_timeout_seconds=0.2
    )
    answer = await exchange(gateway, get("/v1/users", close=False))
    assert answer.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")


def closing_after_request(seen: list[bytes], *, reset: bool) -> Script:
    """A target that reads a request and closes without an answer."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"GET /health"):
            seen.append(head)
        if reset:
            writer.transport.abort()

    return script


@pytest.mark.parametrize("reset", [False, True])
async def test_502_and_no_second_try_where_a_target_closes_after_the_request(
    world: World, start_gateway: StartGateway, reset: bool
) -> None:
    seen: list[bytes] = []
    urls = [await world.target(closing_after_request(seen, reset=reset)) for _ in range(3)]
    gateway = await start_gateway(users=urls)
    assert status_of(await exchange(gateway, get("/v1/users"))) == 502
    assert len(seen) == 1


async def test_502_and_no_second_try_where_a_kept_connection_closes_at_the_next_request(
    world: World, start_gateway: StartGateway
) -> None:
    seen = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (ok(), b""):
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"GET /health"):
                seen.append(head)
            writer.write(answer)

    gateway = await start_gateway(users=[await world.target(script)])
    statuses = [status_of(await exchange(gateway, get("/v1/users"))) for _ in range(3)]
    assert statuses == [200, 502, 200]
    assert len(seen) == 3


async def test_a_kept_connection_that_the_target_closed_is_not_used(
    world: World, start_gateway: StartGateway
) -> None:
    closed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok())
        writer.close()
        await reader.read()  # until the gateway has seen it, and closed too
        closed.set()

    gateway = await start_gateway(users=[await world.target(script)])
    await asyncio.wait_for(closed.wait(), DEADLINE)
    for _ in range(3):
        closed.clear()
        assert status_of(await exchange(gateway, get("/v1/users"))) == 200
        await asyncio.wait_for(closed.wait(), DEADLINE)


async def test_idle_connections_are_dropped_before_the_targets_own_keep_alive(
    world: World, start_gateway: StartGateway
) -> None:
    dropped = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(ok())
        assert await reader.read() == b""
        if not head.startswith(b"GET /health"):
            dropped.set()

    gateway = await start_gateway(users=[await world.target(script)], idle_timeout_seconds=0.2)
    assert status_of(await exchange(gateway, get("/v1/users"))) == 200
    await asyncio.wait_for(dropped.wait(), DEADLINE)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 33_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: odd\r\nConnection: upgrade\r\n\r\n",
    ],
)
async def test_502_where_a_target_answers_nonsense(
    world: World, start_gateway: StartGateway, nonsense: bytes
) -> None:
    gateway = await start_gateway(users=[await world.target(Recorder(nonsense))])
    assert status_of(await exchange(gateway, get("/v1/users"))) == 502


async def test_an_answer_cut_off_by_the_target_is_cut_off_for_the_client(
    world: World, start_gateway: StartGateway
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
        await writer.drain()

    gateway = await start_gateway(users=[await world.target(script)])
    reader, writer = await world.connect(gateway)
    writer.write(get("/v1/users", close=False))
    assert status_of(await read_head(reader)) == 200
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await asyncio.wait_for(reader.readexactly(10), DEADLINE)
    writer.close()


async def test_504_where_a_target_does_not_answer_in_time(
    world: World, start_gateway: StartGateway
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    gateway = await start_gateway(users=[await world.target(script)], idle_timeout_seconds=0.1)
    answer = await exchange(gateway, get("/v1/users", close=False))
    assert status_of(answer) == 504
    assert b"\r\nConnection: close\r\n" in answer


async def test_a_slow_answer_is_no_timeout_while_bytes_move(
    world: World, start_gateway: StartGateway
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.2)  # the time that passes is what is tested
            writer.write(b"x")

    gateway = await start_gateway(users=[await world.target(script)], idle_timeout_seconds=1)
    assert (await exchange(gateway, get("/v1/users"))).endswith(b"\r\n\r\nxxxxxxxx")


@pytest.mark.parametrize(
    "half",
    [
        b"GET /v1/us",
        b"POST /v1/users HTTP/1.1\r\nHost: c\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST /v1/users HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
    ],
)
async def test_408_where_a_request_is_never_finished(
    world: World, start_gateway: StartGateway, half: bytes
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    gateway = await start_gateway(users=[await world.target(script)], idle_timeout_seconds=0.1)
    assert status_of(await exchange(gateway, half)) == 408


async def test_an_idle_client_connection_is_closed_without_a_word(
    start_gateway: StartGateway,
) -> None:
    assert await exchange(await start_gateway(idle_timeout_seconds=0.1), b"") == b""


async def test_a_client_that_leaves_ends_its_request_at_the_target(
    world: World, start_gateway: StartGateway
) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /health"):
            return
        asked.set()
        await reader.read()
        ended.set()

    gateway = await start_gateway(users=[await world.target(script)])
    _, writer = await world.connect(gateway)
    writer.write(get("/v1/users"))
    await asyncio.wait_for(asked.wait(), DEADLINE)
    assert gateway.registry.describe()[0]["outstanding"] == 1
    writer.close()
    await asyncio.wait_for(ended.wait(), DEADLINE)
    assert gateway.registry.describe()[0]["outstanding"] == 0


async def test_502_where_the_deregistration_delay_runs_out(
    world: World, start_gateway: StartGateway
) -> None:
    asked = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"GET /health"):
            asked.set()
        await reader.read()

    gateway = await start_gateway(
        users=[await world.target(script)], deregistration_delay_seconds=0.1
    )
    request = asyncio.create_task(exchange(gateway, get("/v1/users")))
    await asyncio.wait_for(asked.wait(), DEADLINE)
    world.register(users=[])
    gateway.reload()
    assert status_of(await request) == 502


async def test_a_request_in_flight_at_a_removed_target_is_finished(
    world: World, start_gateway: StartGateway
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"GET /health"):
            asked.set()
            await go_on.wait()
        writer.write(ok())

    gateway = await start_gateway(users=[await world.target(script)])
    request = asyncio.create_task(exchange(gateway, get("/v1/users")))
    await asyncio.wait_for(asked.wait(), DEADLINE)
    world.register(users=[])
    gateway.reload()
    assert gateway.registry.describe()[0]["state"] == "draining"
    assert status_of(await exchange(gateway, get("/v1/users"))) == 503
    go_on.set()
    assert status_of(await request) == 200


async def test_a_refusal_reaches_a_client_that_is_still_sending(
    world: World, start_gateway: StartGateway
) -> None:
    """Closing at once would reset the connection, and the answer would be lost."""
    gateway = await start_gateway()
    reader, writer = await world.connect(gateway)
    writer.write(b"POST /nowhere HTTP/1.1\r\nHost: c\r\nContent-Length: 4000000\r\n\r\n")
    for _ in range(40):
        writer.write(b"x" * 100_000)
        await writer.drain()
    assert status_of(await read_all(reader)) == 404
    writer.close()
