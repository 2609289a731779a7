"""Real sockets on both sides of a gateway."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from gateway.app import Gateway

DEADLINE = 10.0  # for what must happen; reached only by a failing test

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Read up to and including the blank line after a head."""
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Read until the other side closes."""
    return await asyncio.wait_for(reader.read(), DEADLINE)


async def exchange(gateway: Gateway, request: bytes) -> bytes:
    """Send bytes, and read what comes until the gateway closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(request)
        return await read_all(reader)
    finally:
        writer.close()
        await writer.wait_closed()


def get(path: str, *headers: str, method: str = "GET", close: bool = True) -> bytes:
    """A request without a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: clinic.example", *headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def ok(body: bytes = b"ok", *headers: bytes) -> bytes:
    """A target's answer."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


def status_of(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer.split(b" ", 2)[1])


@dataclass
class Recorder:
    """A target's script that keeps each request's bytes and answers them all alike."""

    answer: bytes = field(default_factory=ok)
    well: bool = True  # whether it passes health checks
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    # Set once a health check has ended, which the gateway counts in before it closes.
    checked: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer every request of a connection."""
        self.connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /health "):
                writer.write(ok() if self.well else b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                await reader.read()
                self.checked.set()
                return
            self.heads.append(head)
            writer.write(self.answer)


class World:
    """Starts targets and gateways, and ends them all."""

    def __init__(self, folder: Path) -> None:
        """Keep the targets file in this folder."""
        self.folder = folder
        self.targets_file = folder / "targets.json"
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._runners: list[web.AppRunner] = []
        self._clients: list[asyncio.StreamWriter] = []

    async def target(self, script: Script) -> str:
        """Start a target that does to each connection what the script says."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            try:
                await script(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                return  # the gateway closed, which ends every script
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def backend(self, app: web.Application) -> str:
        """Start a target that is a real aiohttp server."""
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def connect(
        self, gateway: Gateway, *, limit: int = 65_536
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a client's connection, whose stream buffers some `limit` bytes."""
        streams = await asyncio.open_connection("127.0.0.1", gateway.port, limit=limit)
        self._clients.append(streams[1])
        return streams

    def disconnect(self) -> None:
        """Drop all clients, those of a test that failed halfway too: a gateway waits for them."""
        for writer in self._clients:
            writer.transport.abort()

    def register(self, **urls: list[str]) -> None:
        """Write the targets file."""
        self.targets_file.write_text(json.dumps(urls))

    async def close(self) -> None:
        """End all targets."""
        for server in self._servers:
            server.close()
        for writer in self._writers:
            writer.transport.abort()
        for runner in self._runners:
            await runner.cleanup()
