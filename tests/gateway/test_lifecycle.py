"""The gateway as a process: settings, signals, logs, memory."""

import asyncio
import json
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.gateway.support import DEADLINE, Recorder, World, get, ok, read_all, read_head, status_of

MIB = 1024 * 1024


async def start(world: World, **settings: str) -> Process:
    environment = {
        "GATEWAY_PORT": "0",
        "GATEWAY_TARGETS_FILE": str(world.targets_file),
        **{f"GATEWAY_{name.upper()}": value for name, value in settings.items()},
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stdout=PIPE, stderr=PIPE
    )


async def next_event(process: Process, name: str) -> dict[str, object]:
    """Read log lines up to an event of this name."""
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), DEADLINE):
        event: dict[str, object] = json.loads(line)
        if event["event"] == name:
            return event
    raise AssertionError(f"the log ended without {name}")


@asynccontextmanager
async def running(world: World, **settings: str) -> AsyncIterator[tuple[Process, int]]:
    """Run a gateway; gives the process and its port."""
    process = await start(world, **settings)
    try:
        port = (await next_event(process, "listening"))["port"]
        assert isinstance(port, int)
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_request_in_flight_is_finished_at_sigterm(world: World) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health"):
            return
        asked.set()
        await go_on.wait()
        writer.write(ok())

    world.register(users=[await world.target(script)])
    async with running(world) as (process, port):
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/v1/users", close=False))
        await asyncio.wait_for(asked.wait(), DEADLINE)
        process.send_signal(signal.SIGTERM)
        # It closes who is idle, and by then it has closed its listener too.
        assert await read_all(idle_reader) == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        go_on.set()
        answer = await read_all(reader)
        assert status_of(answer) == 200
        assert b"\r\nConnection: close\r\n" in answer
        assert await asyncio.wait_for(process.wait(), DEADLINE) == 0
        for each in (writer, idle_writer):
            each.close()


async def test_sighup_reads_the_targets_at_once(world: World) -> None:
    world.register()
    async with running(world) as (process, _):
        world.register(users=["http://127.0.0.1:9"])
        process.send_signal(signal.SIGHUP)
        assert (await next_event(process, "target_registered"))["url"] == "http://127.0.0.1:9"


async def test_a_line_a_request(world: World) -> None:
    url = await world.target(Recorder())
    world.register(users=[url])
    async with running(world) as (process, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/v1/users/me?secret=1"))
        await read_all(reader)
        writer.close()
        line = await next_event(process, "request")
    assert isinstance(line.pop("duration_ms"), float)
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", str(line.pop("trace_id")))
    assert str(line.pop("timestamp")).endswith("+00:00")
    assert line == {
        "event": "request",
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/v1/users/me",
        "status": 200,
        "service": "users",
        "target": url,
        "target_status": 200,
    }


async def test_a_client_that_left_is_logged_as_460(world: World) -> None:
    asked = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health"):
            asked.set()
            await reader.read()

    world.register(users=[await world.target(script)])
    async with running(world) as (process, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/v1/users"))
        await asyncio.wait_for(asked.wait(), DEADLINE)
        writer.close()
        line = await next_event(process, "request")
    assert (line["status"], line["target_status"]) == (460, None)


async def test_no_other_target_is_tried_for_a_client_that_left(
    world: World, silent_url: str
) -> None:
    other = await world.target(Recorder(well=False))  # so that the first turn is the silent one's
    world.register(users=[other, silent_url])
    async with running(world, connect_timeout_seconds="0.2") as (process, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/v1/users"))
        writer.close()
        line = await next_event(process, "request")
    assert (line["status"], line["target"]) == (460, None)


async def test_the_log_of_requests_can_be_turned_off(world: World) -> None:
    world.register(users=[await world.target(Recorder())])
    async with running(world, access_log="false") as (process, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/v1/users"))
        await read_all(reader)
        writer.close()
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert events[-1] == "stopped"
    assert "request" not in events


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "http"),
        ("algorithm", "random"),
        ("idle_timeout_seconds", "80"),
        ("health_interval_seconds", "0"),
        ("targets_file", "/nowhere/targets.json"),
    ],
)
async def test_a_bad_setting_is_one_line_and_exit_code_2(
    world: World, name: str, value: str
) -> None:
    world.register()
    process = await start(world, **{name: value})
    _, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 2
    assert errors.count(b"\n") == 1
    assert errors.startswith(f"gateway: GATEWAY_{name.upper()}".encode())


@pytest.mark.parametrize("name", ["port", "admin_port"])
async def test_a_port_in_use_is_one_line_and_exit_code_2(world: World, name: str) -> None:
    world.register()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = await start(world, **{name: str(port)})
        _, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 2
    assert errors.decode() == (
        f"gateway: GATEWAY_{name.upper()}: can't listen on 127.0.0.1:{port}: "
        "address already in use\n"
    )


def peak_memory(process: Process) -> int:
    """The most memory a process ever had, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match
    return int(match[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
async def test_memory_stays_flat_whatever_the_size_of_a_body(world: World) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Echo the body as it comes."""
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or b"0")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
            while length:
                data = await reader.read(min(length, MIB))
                length -= len(data)
                writer.write(data)
                await writer.drain()

    async def echo(port: int, size: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/users HTTP/1.1\r\nHost: c\r\nContent-Length: %d\r\n\r\n" % size)

        async def send() -> None:
            for _ in range(size // MIB):
                writer.write(bytes(MIB))
                await writer.drain()

        sending = asyncio.create_task(send())
        await read_head(reader)
        received = 0
        while data := await asyncio.wait_for(reader.read(MIB), DEADLINE):
            received += len(data)
        await sending
        assert received == size
        writer.close()

    world.register(users=[await world.target(script)])
    async with running(world) as (process, port):
        await echo(port, 8 * MIB)
        before = peak_memory(process)
        await echo(port, 256 * MIB)
        assert peak_memory(process) - before < 4 * MIB
