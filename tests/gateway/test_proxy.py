"""What passes a gateway, between real aiohttp servers and clients, and raw sockets."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, DummyCookieJar, web

from tests.gateway.conftest import StartGateway
from tests.gateway.support import (
    DEADLINE,
    Recorder,
    World,
    exchange,
    get,
    ok,
    read_all,
    read_head,
    status_of,
)


async def test_routes_by_path(world: World, start_gateway: StartGateway) -> None:
    urls = {
        name: [await world.target(Recorder(ok(name.encode())))]
        for name in ("users", "appointments", "files")
    }
    gateway = await start_gateway(**urls)
    for path, name in (
        ("/v1/users/me?x=/v1/files", b"users"),
        ("/v1/slots", b"appointments"),
        ("/v1/files/a/b", b"files"),
    ):
        assert (await exchange(gateway, get(path))).endswith(b"\r\n\r\n" + name)


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/v1", "/V1/users", "/v1/%75sers"])
async def test_anything_else_is_a_plain_404(
    world: World, start_gateway: StartGateway, path: str
) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)])
    answer = await exchange(gateway, get(path))
    assert status_of(answer) == 404
    assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in answer
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer
    assert answer.endswith(b"\r\n\r\n404 Not Found\n")
    assert recorder.heads == []


async def test_a_404_of_its_own_keeps_the_connection_and_has_no_body_for_head(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway()
    post = b"POST /x HTTP/1.1\r\nHost: c\r\nContent-Length: 5\r\n\r\nhello"
    answer = await exchange(gateway, get("/x", method="HEAD", close=False) + post + get("/y"))
    assert answer.count(b"HTTP/1.1 404 Not Found") == 3
    assert answer.count(b"404 Not Found\n") == 2
    assert answer.count(b"Connection: close") == 1


async def test_the_target_gets_the_bytes_of_the_path_and_the_forwarded_headers(
    world: World, start_gateway: StartGateway
) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)])
    await exchange(
        gateway,
        get(
            "/v1/users/%7e%2F..%2f/../ü;a=b?q=%20+[]&&q=|\\",
            "X-Forwarded-For: 9.9.9.9",
            "X-Amzn-Trace-Id: Root=1-a-b",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    )
    line, *fields = recorder.heads[0].split(b"\r\n")
    assert line == "GET /v1/users/%7e%2F..%2f/../ü;a=b?q=%20+[]&&q=|\\ HTTP/1.1".encode("latin-1")
    assert b"X-Forwarded-For: 9.9.9.9, 127.0.0.1" in fields
    assert b"X-Forwarded-Proto: http" in fields
    assert b"X-Forwarded-Port: %d" % gateway.port in fields
    assert b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" in fields
    trace = next(value for value in fields if value.startswith(b"X-Amzn-Trace-Id: "))
    assert trace.startswith(b"X-Amzn-Trace-Id: Self=1-")
    assert trace.endswith(b";Root=1-a-b")
    assert not any(value.lower().startswith(b"connection:") for value in fields)


async def test_real_clients_and_servers_agree_through_it(
    world: World, start_gateway: StartGateway
) -> None:
    async def echo(request: web.Request) -> web.Response:
        response = web.Response(body=await request.read(), status=201)
        response.headers.add("X-Twice", "1")
        response.headers.add("X-Twice", "2")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    async def compressed(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"text"), headers={"Content-Encoding": "gzip"})

    async def redirect(_: web.Request) -> web.Response:
        raise web.HTTPFound("/v1/users/elsewhere")

    async def nothing(_: web.Request) -> web.Response:
        return web.Response(status=204)

    async def unchanged(_: web.Request) -> web.Response:
        return web.Response(status=304, headers={"ETag": '"1"'})

    app = web.Application()
    app.router.add_post("/v1/users/echo", echo)
    app.router.add_get("/v1/users/compressed", compressed)
    app.router.add_get("/v1/users/redirect", redirect)
    app.router.add_get("/v1/users/nothing", nothing)
    app.router.add_get("/v1/users/unchanged", unchanged)
    gateway = await start_gateway(users=[await world.backend(app)])
    base = f"http://127.0.0.1:{gateway.port}/v1/users"
    async with ClientSession(cookie_jar=DummyCookieJar(), auto_decompress=False) as session:
        async with session.post(f"{base}/echo", data=b"x" * 100_000) as answer:
            assert (answer.status, await answer.read()) == (201, b"x" * 100_000)
            assert answer.headers.getall("X-Twice") == ["1", "2"]
            assert len(answer.headers.getall("Set-Cookie")) == 2

        async def chunks() -> AsyncIterator[bytes]:
            for number in range(5):
                yield b"%d" % number * 1000

        async with session.post(f"{base}/echo", data=chunks()) as answer:
            assert await answer.read() == b"".join(b"%d" % number * 1000 for number in range(5))
        async with session.get(f"{base}/compressed") as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(await answer.read()) == b"text"
        async with session.head(f"{base}/compressed") as answer:
            assert int(answer.headers["Content-Length"]) == len(gzip.compress(b"text"))
            assert await answer.read() == b""
        async with session.get(f"{base}/redirect", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/v1/users/elsewhere")
        async with session.get(f"{base}/nothing") as answer:
            assert (answer.status, await answer.read()) == (204, b"")
        async with session.get(f"{base}/unchanged") as answer:
            assert (answer.status, await answer.read()) == (304, b"")
            assert answer.headers["ETag"] == '"1"'


async def test_connections_to_targets_are_kept_and_used_again(
    world: World, start_gateway: StartGateway
) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)])
    for _ in range(5):
        await exchange(gateway, get("/v1/users"))
    # One for the health check, one for all five requests.
    assert recorder.connections == 2


async def test_pipelined_requests_are_answered_in_order(
    world: World, start_gateway: StartGateway
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(ok(head.split(b" ")[1]))

    gateway = await start_gateway(users=[await world.target(script)])
    requests = [get(f"/v1/users/{number}", close=number == 49) for number in range(50)]
    answer = await exchange(gateway, b"".join(requests))
    assert [part.partition(b"HTTP/1.1")[0] for part in answer.split(b"/v1/users/")[1:]] == [
        b"%d" % number for number in range(50)
    ]


async def test_an_http_1_0_client_gets_a_body_it_can_read(
    world: World, start_gateway: StartGateway
) -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    recorder = Recorder(chunked)
    gateway = await start_gateway(users=[await world.target(recorder)])
    answer = await exchange(gateway, b"GET /v1/users HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answer == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde"
    assert b"\r\nHost: 127.0.0.1:" in recorder.heads[0]


async def test_an_http_1_0_client_may_keep_its_connection(
    world: World, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(users=[await world.target(Recorder())])
    old = b"GET /v1/users HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    answer = await exchange(gateway, old + b"GET /v1/users HTTP/1.0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"Connection: keep-alive") == 1


async def test_a_body_that_ends_with_the_connection(
    world: World, start_gateway: StartGateway
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    gateway = await start_gateway(users=[await world.target(script)])
    answer = await exchange(gateway, get("/v1/users", close=False))
    assert answer == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"


async def test_ambiguous_requests_are_passed_on_and_both_connections_closed(
    world: World, start_gateway: StartGateway
) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)])
    for _ in range(2):
        answer = await exchange(gateway, get("/v1/users", "Content_Length: 5", close=False))
        assert status_of(answer) == 200
        assert b"Connection: close" in answer
    # One for the health check and one for each request.
    assert recorder.connections == 3


async def test_switched_protocols_pass_bytes_both_ways(
    world: World, start_gateway: StartGateway
) -> None:
    heads = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 101 Go\r\nUpgrade: odd\r\nConnection: upgrade\r\n\r\nhello\n")
        while line := await reader.readline():
            writer.write(line.upper())

    gateway = await start_gateway(users=[await world.target(script)])
    reader, writer = await world.connect(gateway)
    writer.write(
        b"GET /v1/users HTTP/1.1\r\nHost: c\r\nConnection: Upgrade\r\nUpgrade: odd\r\n\r\nearly\n"
    )
    assert await read_head(reader) == (
        b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: odd\r\n\r\n"
    )
    assert await reader.readline() == b"hello\n"
    assert await reader.readline() == b"EARLY\n"
    writer.write(b"\x00\xff\r\n\r\n")
    assert await reader.readline() == b"\x00\xff\r\n"
    writer.close()
    assert b"\r\nConnection: Upgrade\r\nUpgrade: odd\r\n" in heads[-1]


async def test_web_sockets(world: World, start_gateway: StartGateway) -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data[::-1])
        return socket

    app = web.Application()
    app.router.add_get("/v1/users/ws", echo)
    gateway = await start_gateway(users=[await world.backend(app)])
    async with (
        ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{gateway.port}/v1/users/ws") as socket,
    ):
        for text in ("abc", "x" * 300_000 + "y"):
            await socket.send_str(text)
            assert await socket.receive_str(timeout=DEADLINE) == text[::-1]


async def test_requests_are_spread_over_the_targets(
    world: World, start_gateway: StartGateway
) -> None:
    recorders = [Recorder(), Recorder(), Recorder()]
    gateway = await start_gateway(users=[await world.target(each) for each in recorders])
    for each in recorders:
        await asyncio.wait_for(each.checked.wait(), DEADLINE)
    for _ in range(9):
        await exchange(gateway, get("/v1/users"))
    assert [len(each.heads) for each in recorders] == [3, 3, 3]


async def test_a_target_added_to_the_file_takes_requests_and_one_removed_does_not(
    world: World, start_gateway: StartGateway
) -> None:
    old, new = Recorder(), Recorder()
    urls = [await world.target(old), await world.target(new)]
    gateway = await start_gateway(users=urls[:1])
    await exchange(gateway, get("/v1/users"))
    world.register(users=urls[1:])
    gateway.reload()
    await exchange(gateway, get("/v1/users"))
    assert (len(old.heads), len(new.heads)) == (1, 1)


async def test_the_admin_port_tells_every_targets_state(
    world: World, start_gateway: StartGateway
) -> None:
    recorder = Recorder()
    url = await world.target(recorder)
    gateway = await start_gateway(users=[url], admin_port=0)
    await asyncio.wait_for(recorder.checked.wait(), DEADLINE)

    async def ask(request: bytes) -> tuple[int, object]:
        assert gateway.admin_port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.admin_port)
        writer.write(request)
        head, _, body = (await read_all(reader)).partition(b"\r\n\r\n")
        writer.close()
        return status_of(head), json.loads(body)

    assert await ask(get("/health")) == (200, {"status": "ok"})
    assert await ask(get("/targets")) == (
        200,
        [{"service": "users", "url": url, "state": "healthy", "outstanding": 0}],
    )
    assert (await ask(get("/v1/users")))[0] == 404
    assert (await ask(get("/targets", method="DELETE")))[0] == 405
    assert (await ask(b"nonsense\r\n\r\n"))[0] == 400
