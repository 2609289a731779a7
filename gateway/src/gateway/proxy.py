"""The listener: takes requests from clients and has the targets answer them."""

import asyncio
from collections.abc import Mapping

import structlog

from gateway.answers import plain_answer
from gateway.connections import Connection, IdleTimer
from gateway.errors import ConnectionClosedError, IdleTimeoutError, RefusedError
from gateway.exchange import Exchange, ServerState
from gateway.heads import RequestHead
from gateway.messages import read_request
from gateway.observer import Observer
from gateway.targets import TargetGroup
from routetable import RouteTable

log = structlog.get_logger()


class Proxy:
    """Serves every client connection with one task, one request after the other."""

    def __init__(
        self,
        table: RouteTable,
        groups: Mapping[str, TargetGroup],
        *,
        idle_timeout: float,
        observer: Observer,
    ) -> None:
        """Route by `table` to `groups`; `idle_timeout` in seconds."""
        self._table = table
        self._groups = groups
        self._idle_timeout = idle_timeout
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._serving: set[asyncio.Task[None]] = set()
        self._state = ServerState()

    def connection(self) -> Connection:
        """Make the protocol of a new client connection, for `loop.create_server`."""
        return Connection(self._loop, self._accept)

    async def close(self) -> None:
        """Finish what is in flight, tell clients to close, and return once all have gone.

        Connections between two requests, and tunnels, which have no end, are closed at once.
        """
        self._state.closing = True
        for connection in [*self._state.waiting, *self._state.tunnels]:
            connection.fail(ConnectionClosedError(clean=True))
        if self._serving:
            await asyncio.wait(self._serving)

    def _accept(self, client: Connection) -> None:
        task = self._loop.create_task(self._serve(client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: Connection) -> None:
        timer = IdleTimer(self._loop, self._idle_timeout, client)
        try:
            while await self._serve_one(client, timer):
                pass
        except ConnectionClosedError:
            client.abort()
        except Exception:
            # A defect of ours: it costs this connection and is seen in the log.
            log.exception("connection_failed")
            client.abort()
        finally:
            timer.cancel()
        await client.finish(self._idle_timeout)

    async def _serve_one(self, client: Connection, timer: IdleTimer) -> bool:
        """Serve the next request; returns whether another may follow."""
        try:
            request = await self._read_request(client)
        except RefusedError as refused:
            client.write(plain_answer(refused.status, head_only=False, old=False, keep_alive=False))
            client.discard()
            self._observer.refused(refused.status)
            return False
        if request is None:
            return False
        exchange = Exchange(client, request, timer, self._state)
        route = self._table.match(request.path)
        with self._observer.watching(exchange, route):
            if route is None:
                return exchange.answer(404)
            return await exchange.run(self._groups[route.service])

    async def _read_request(self, client: Connection) -> RequestHead | None:
        """Read the next request's head; None where none comes.

        Raises:
            RefusedError: what came can't be passed on.
        """
        if self._state.closing and not client.buffer:
            return None
        self._state.waiting.add(client)
        try:
            await client.drain()
            return await read_request(client)
        except ConnectionClosedError:
            return None
        except IdleTimeoutError as idle:
            if client.buffer:
                raise RefusedError(408) from idle
            return None
        finally:
            self._state.waiting.discard(client)
