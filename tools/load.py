"""What benchmarks share: programs started for a while, and a load of one request over and over.

The client costs little beside the server that it measures.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, cast

_GRACE_SECONDS: Final = 30.0


class _Connection(asyncio.Protocol):
    """One keep-alive connection that sends the request again when the answer is whole."""

    def __init__(self, request: bytes, latencies: list[float], deadline: float) -> None:
        self._request = request
        self._latencies = latencies
        self._deadline = deadline
        self._buffer = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        now = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 200 "):
            self._end(RuntimeError(head.decode()))
            return
        self._latencies.append(now - self._sent)
        self._buffer = b""
        if now < self._deadline:
            self._send()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or RuntimeError("the server closed the connection"))

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
            self._transport.close()


async def drive(port: int, request: bytes, *, concurrency: int, seconds: float) -> dict[str, float]:
    """Sends `request` to 127.0.0.1:`port` from so many connections for so long.

    Every answer must be a 200 with a Content-Length.

    Returns:
        `rps` (answers a second), `p50_ms` and `p99_ms`.
    """
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    began = time.perf_counter()
    connections = [
        (
            await loop.create_connection(
                lambda: _Connection(request, latencies, began + seconds), "127.0.0.1", port
            )
        )[1]
        for _ in range(concurrency)
    ]
    async with asyncio.timeout(seconds + _GRACE_SECONDS):
        await asyncio.gather(*(connection.done for connection in connections))
    elapsed = time.perf_counter() - began
    centiles = statistics.quantiles(latencies, n=100)
    return {
        "rps": len(latencies) / elapsed,
        "p50_ms": centiles[49] * 1000,
        "p99_ms": centiles[98] * 1000,
    }


class Program(NamedTuple):
    """A program that runs, and the port that it listens on."""

    port: int
    pid: int


@asynccontextmanager
async def started(
    *arguments: str, until: str = "listening", environment: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Runs `python -m` with the arguments until the context ends.

    Args:
        until: the event or state in the program's log (JSON lines) from which on it is ready.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdout=PIPE, env={**os.environ, **(environment or {})}
    )
    try:
        port = await _port(process, until)
        drain = asyncio.create_task(_drain(process))
        yield Program(port, process.pid)
    finally:
        process.terminate()
        await process.wait()
    await drain


async def _port(process: Process, until: str) -> int:
    """The port, once the log has told it and has said what `until` waits for."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    port, ready = 0, False
    while not (port and ready):
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError("the program ended before it was ready")
        event = json.loads(line)
        port = int(event.get("port", port))
        ready = ready or until in (event["event"], event.get("state"))
    return port


async def _drain(process: Process) -> None:
    """A program must not wait for somebody to read its log."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    while await process.stdout.read(1 << 20):
        pass
