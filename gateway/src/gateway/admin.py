"""What the gateway says about itself, on a port of its own that no client reaches."""

import asyncio
import json
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST

from gateway.answers import answer
from gateway.connections import Connection
from gateway.errors import ConnectionClosedError, RefusedError
from gateway.messages import read_request
from gateway.metrics import Metrics
from gateway.registry import TargetRegistry

READ_SECONDS: Final = 10.0


class Admin:
    """GET /health, /metrics, and /targets with every target's state; one request a connection."""

    def __init__(self, registry: TargetRegistry, metrics: Metrics) -> None:
        """Tell about the targets of this registry, and these metrics."""
        self._registry = registry
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._serving: set[asyncio.Task[None]] = set()

    def connection(self) -> Connection:
        """Make the protocol of a new connection, for `loop.create_server`."""
        return Connection(self._loop, self._accept)

    async def close(self) -> None:
        """Drop who is connected."""
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def _accept(self, client: Connection) -> None:
        task = self._loop.create_task(self._serve(client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: Connection) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                request = await read_request(client)
            status, kind, body = self._answer(request.method, request.path)
        except RefusedError:
            status, kind, body = _json(400, {"status": "bad request"})
        except (ConnectionClosedError, TimeoutError):
            client.abort()
            return
        client.write(answer(status, kind, body, head_only=False, old=False, keep_alive=False))
        client.close()

    def _answer(self, method: bytes, path: str) -> tuple[int, str, bytes]:
        if method != b"GET":
            return _json(405, {"status": "method not allowed"})
        if path == "/health":
            return _json(200, {"status": "ok"})
        if path == "/targets":
            return _json(200, self._registry.describe())
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, self._metrics.expose()
        return _json(404, {"status": "not found"})


def _json(status: int, document: object) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(document).encode()
