"""One TCP connection, to a client or to a target, read by coroutines and never buffering much."""

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, cast

from gateway.bodies import Body, UntilClosed
from gateway.errors import ConnectionClosedError, IdleTimeoutError

# Reading stops while more than this is waiting to be taken, and writers wait while more than this
# is waiting to be sent. With what one read of the event loop can bring (256 KiB), this is all that
# a connection ever holds in memory.
HIGH_WATER: Final = 64 * 1024
LINGER_SECONDS: Final = 5.0

_BARE_NEWLINE: Final = re.compile(rb"(?<!\r)\n")


class HeadTooLargeError(Exception):
    """A message's head is longer than allowed; the connection's buffer has its beginning."""


class BadHeadError(Exception):
    """What came can't become the head of an HTTP/1 message."""


class Connection(asyncio.Protocol):
    """Bytes in order, with back pressure both ways and one reason why it ended.

    At most one coroutine may wait in `more` and one in `drain`.
    """

    __slots__ = (
        "_discarding",
        "_drained",
        "_gone",
        "_loop",
        "_on_made",
        "_reader",
        "_reading_paused",
        "_writing_paused",
        "buffer",
        "failure",
        "last_active",
        "local_port",
        "on_lost",
        "peer",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_made: Callable[["Connection"], None] | None = None,
    ) -> None:
        """Prepare a connection; `on_made` is called once it is open."""
        self._loop = loop
        self._on_made = on_made
        self.peer = "unknown"  # the other side's address
        self.local_port = 0
        self.on_lost: Callable[[], None] | None = None
        self.buffer = b""
        self.failure: Exception | None = None
        self.last_active = loop.time()
        self._reader: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] = loop.create_future()
        self._reading_paused = False
        self._writing_paused = False
        self._discarding = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        # A connection that was reset before we looked at it has no peer any more.
        if peer := transport.get_extra_info("peername"):
            self.peer = peer[0]
        if local := transport.get_extra_info("sockname"):
            self.local_port = local[1]
        if self._on_made is not None:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """Keep what came and wake who waits for it."""
        self.last_active = self._loop.time()
        if self._discarding:
            return
        buffer = self.buffer = self.buffer + data if self.buffer else data
        if len(buffer) > HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everyone who waits, and who asked to be told."""
        self.fail(ConnectionClosedError(clean=exc is None))
        if not self._gone.done():
            self._gone.set_result(None)
        if self.on_lost is not None:
            self.on_lost()

    def pause_writing(self) -> None:
        """Make writers wait in `drain`."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Let writers go on."""
        self.last_active = self._loop.time()
        self._writing_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # What coroutines call.

    @property
    def unsent(self) -> int:
        """How many bytes were written that the network has not taken."""
        return self.transport.get_write_buffer_size()

    def fail(self, failure: Exception) -> None:
        """End every wait on this connection, now and later, with an exception; the first stays."""
        if self.failure is not None:
            return
        self.failure = failure
        for waiter in (self._reader, self._drained):
            if waiter is not None and not waiter.done():
                waiter.set_exception(failure)

    async def more(self) -> None:
        """Wait until the buffer has grown.

        Raises:
            ConnectionClosedError: it will not grow any more, because the other side closed.
            Exception: whatever `fail` was called with.
        """
        if self.failure is not None:
            raise self.failure
        self._resume_reading()
        self._reader = self._loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def take(self) -> bytes:
        """Take all that has come."""
        data, self.buffer = self.buffer, b""
        if self._reading_paused:
            self._resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Send data; call `drain` before much more of it."""
        if data and not self.transport.is_closing():
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until enough has been sent; raises like `more`."""
        if self.failure is not None:
            raise self.failure
        if self._writing_paused:
            self._drained = self._loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None

    def abort(self) -> None:
        """Drop the connection and what was not sent."""
        self.transport.abort()

    def close(self) -> None:
        """Send what was written, then close."""
        self.transport.close()

    async def finish(self, idle_timeout: float) -> None:
        """Send what was written, and close so that the other side gets to read it.

        Closing a socket with unread data makes the kernel send a reset, at which the other side
        loses an answer it has not read yet. So say that nothing more comes, drop whatever still
        arrives, and wait for the other side to close: `idle_timeout` seconds for it to read on,
        and `LINGER_SECONDS` once all was sent.
        """
        if self._gone.done():
            return
        if not (self.buffer or self.unsent or self._reading_paused or self._discarding):
            self.transport.close()
            return
        self.buffer = b""
        self._discarding = True
        with suppress(OSError, RuntimeError):  # it was lost while we looked
            self.transport.write_eof()
            self._resume_reading()
        while not self._gone.done():
            unsent = self.unsent
            await asyncio.wait([self._gone], timeout=idle_timeout if unsent else LINGER_SECONDS)
            if self.unsent == unsent:
                self.transport.abort()
                return

    def discard(self) -> None:
        """Drop whatever comes from now on, so that `finish` waits for the other side."""
        self._discarding = True

    def _resume_reading(self) -> None:
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()


async def read_head(connection: Connection, limit: int, prefix: bytes = b"") -> bytes:
    """Read a message's head of at most `limit` bytes, without the blank line that ends it.

    Raises:
        HeadTooLargeError: it is longer than `limit` bytes.
        BadHeadError: it does not begin with `prefix`, or with a byte that a head can begin with, or
            a line ends without a carriage return. This is said at once, before the head's end.
        ConnectionClosedError: the other side closed before the head was complete.
        Exception: whatever the connection failed with.
    """
    searched = 0
    while True:
        buffer = connection.buffer
        if searched < 2 and buffer.startswith(b"\r\n"):
            # RFC 9112, section 2.2: ignore an empty line before the start line.
            buffer = connection.buffer = buffer[2:]
            searched = 0
        end = buffer.find(b"\r\n\r\n", max(0, searched - 3))
        if end > limit or (end < 0 and len(buffer) > limit):
            raise HeadTooLargeError
        if end >= 0:
            connection.buffer = buffer[end + 4 :]
            return buffer[:end]
        if buffer not in (b"", b"\r") and (
            not 0x20 < buffer[0] < 0x7F
            or not buffer.startswith(prefix[: len(buffer)])
            or _BARE_NEWLINE.search(buffer, searched)
        ):
            raise BadHeadError
        searched = len(buffer)
        await connection.more()


async def relay(source: Connection, sink: Connection, body: Body) -> None:
    """Pass a body on as it comes, no faster than the sink takes it.

    Raises:
        BadFramingError: the body is not well formed.
        ConnectionClosedError: one side closed before the body's end.
        Exception: whatever one of the connections failed with.
    """
    while not body.done:
        if not source.buffer:
            try:
                await source.more()
            except ConnectionClosedError as closed:
                if closed.clean and isinstance(body, UntilClosed):
                    body.done = True
                    return
                raise
        passed, source.buffer = body.feed(source.take())
        if passed:
            sink.write(passed)
        await sink.drain()


class IdleTimer:
    """Fails the connections of an exchange once no byte has moved on any of them for a while.

    One timer a client connection, looked at only when it fires: a request costs nothing.
    """

    __slots__ = ("_client", "_handle", "_loop", "_seconds", "_unsent", "upstream")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, client: Connection) -> None:
        """Start watching the client's connection."""
        self._loop = loop
        self._seconds = seconds
        self._client = client
        self._unsent: list[int] = []
        self.upstream: Connection | None = None
        self._handle = loop.call_later(seconds, self._look)

    def cancel(self) -> None:
        """Stop watching."""
        self._handle.cancel()

    def _watched(self) -> Iterable[Connection]:
        return (self._client,) if self.upstream is None else (self._client, self.upstream)

    def _look(self) -> None:
        now = self._loop.time()
        active = max(connection.last_active for connection in self._watched())
        unsent = [connection.unsent for connection in self._watched()]
        if any(unsent) and unsent != self._unsent:
            active = now  # a slow reader took some of what waits for it
        self._unsent = unsent
        if now - active < self._seconds:
            self._handle = self._loop.call_at(active + self._seconds, self._look)
            return
        for connection in self._watched():
            connection.fail(IdleTimeoutError())
