"""Kept-alive connections to one target."""

import asyncio
from collections import deque

from gateway.connections import Connection


class ConnectionPool:
    """Opens connections to one address and keeps the idle ones for the next request.

    A connection idle for `idle_seconds` is dropped, which has to be less than the target's own
    keep-alive (75 s for the services), or the target could close it just as a request goes out.
    The connection used last is used first, so that a burst's surplus can grow old.
    """

    def __init__(
        self, host: str, port: int, *, idle_seconds: float, connect_seconds: float
    ) -> None:
        """Prepare a pool for one address; nothing is opened yet."""
        self._host = host
        self._port = port
        self._idle_seconds = idle_seconds
        self._connect_seconds = connect_seconds
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()  # the longest idle one on the left
        self._sweeper: asyncio.TimerHandle | None = None
        self._leased: set[Connection] = set()
        self._closed = False

    async def acquire(self) -> Connection:
        """Lend a connection on which nothing has been sent or received yet.

        Raises:
            TimeoutError: no connection within the connect timeout.
            OSError: it was refused. Nothing can have been sent, whichever it is.
        """
        expired = self._loop.time() - self._idle_seconds
        while self._idle:
            connection = self._idle.pop()
            usable = connection.failure is None and not connection.buffer
            if usable and connection.last_active > expired:
                self._leased.add(connection)
                return connection
            connection.abort()
        async with asyncio.timeout(self._connect_seconds):
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop), self._host, self._port
            )
        self._leased.add(connection)
        return connection

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """Take a connection back; one that is not reusable is closed."""
        self._leased.discard(connection)
        if not reusable or self._closed:
            connection.close()
            return
        connection.last_active = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweep()

    def close(self) -> None:
        """Close what is idle, and whatever comes back from now on."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def fail_leased(self, failure: Exception) -> None:
        """End what is still in flight."""
        for connection in list(self._leased):
            connection.fail(failure)

    def _sweep(self) -> None:
        self._sweeper = None
        expired = self._loop.time() - self._idle_seconds
        while self._idle and self._idle[0].last_active <= expired:
            self._idle.popleft().close()
        if self._idle:
            self._sweeper = self._loop.call_at(
                self._idle[0].last_active + self._idle_seconds, self._sweep
            )
