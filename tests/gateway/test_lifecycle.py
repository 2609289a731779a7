"""The gateway as a process: settings, signals, memory."""

import asyncio
import re
import signal
import socket
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from tests.gateway.processes import next_event, running, start
from tests.gateway.support import DEADLINE, World, get, ok, read_all, read_head, status_of

MIB = 1024 * 1024


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
