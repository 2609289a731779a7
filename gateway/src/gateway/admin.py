"""What the gateway says about itself, on a port of its own that only this machine reaches."""

import asyncio
import json
from typing import Final

from gateway.answers import answer
from gateway.connections import Connection
from gateway.errors import ConnectionClosedError, RefusedError
from gateway.messages import read_request
from gateway.registry import TargetRegistry

ADMIN_HOST: Final = "127.0.0.1"
READ_SECONDS: Final = 10.0


class Admin:
    """GET /health, and GET /targets with every target's state; one request a connection."""

    def __init__(self, registry: TargetRegistry) -> None:
        """Tell about the targets of this registry."""
        self._registry = registry
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
            status, document = self._answer(request.method, request.path)
        except RefusedError:
            status, document = 400, {"status": "bad request"}
        except (ConnectionClosedError, TimeoutError):
            client.abort()
            return
        body = json.dumps(document).encode()
        client.write(
            answer(status, "application/json", body, head_only=False, old=False, keep_alive=False)
        )
        client.close()

    def _answer(self, method: bytes, path: str) -> tuple[int, object]:
        if method != b"GET":
            return 405, {"status": "method not allowed"}
        if path == "/health":
            return 200, {"status": "ok"}
        if path == "/targets":
            return 200, self._registry.describe()
        return 404, {"status": "not found"}
