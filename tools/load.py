"""A load of one HTTP request over and over, by a client that costs little beside the server."""

import asyncio
import statistics
import time
from typing import Final, cast

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
