"""Where the body of an HTTP/1.1 message ends (RFC 9112, section 6).

A body is passed on as it came, chunk by chunk, so its framing is only followed here and never
built anew. What is not strictly valid is never passed on: a lenient reader behind the gateway
could otherwise see another end of the body than the gateway did (request smuggling).
"""

import re
from typing import Final, Protocol

MAX_CHUNK_LINE: Final = 4 * 1024
MAX_TRAILERS: Final = 64 * 1024

_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")


class BadFramingError(Exception):
    """A chunked body is not well formed."""


class Body(Protocol):
    """Follows one body through the bytes of its connection."""

    done: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Split data into what to pass on and what comes after the body.

        Raises:
            BadFramingError: the body is not well formed.
        """


class Sized:
    """A body of a known number of bytes, 0 where there is none."""

    __slots__ = ("_left", "done")

    def __init__(self, length: int) -> None:
        """Expect this many bytes."""
        self._left = length
        self.done = not length

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what belongs to the body."""
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data, b""
        length, self._left = self._left, 0
        self.done = True
        return (data, b"") if not left else (data[:length], data[length:])


class UntilClosed:
    """A body that runs until the connection closes; whoever reads it finds out when it is done."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        """Expect anything."""
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take everything."""
        return data, b""


class Chunked:
    """A chunked body, with its trailers; passed on as it is, or decoded for HTTP/1.0."""

    __slots__ = ("_decode", "_expect", "_left", "_line", "_trailers", "done")

    def __init__(self, *, decode: bool = False) -> None:
        """Expect the first chunk."""
        self.done = False
        self._decode = decode
        self._expect = self._on_size
        self._left = 0  # bytes of the present chunk still to come
        self._line = b""  # the beginning of a line whose end has not come yet
        self._trailers = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take whole and partial chunks."""
        position, size = 0, len(data)
        payload: list[bytes] = []
        while position < size and not self.done:
            if self._left:
                step = min(self._left, size - position)
                if self._decode:
                    payload.append(data[position : position + step])
                self._left -= step
                position += step
                continue
            end = data.find(b"\n", position, position + MAX_CHUNK_LINE) + 1
            line = self._line + data[position : end or size]
            if len(line) > MAX_CHUNK_LINE:
                raise BadFramingError("a line of a chunked body is too long")
            position = end or size
            if end:
                self._line = b""
                self._expect(line)
            else:
                self._line = line
        passed = b"".join(payload) if self._decode else data[:position]
        return passed, data[position:]

    def _on_size(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise BadFramingError(f"not the beginning of a chunk: {line[:40]!r}")
        self._left = int(match[1], 16)
        self._expect = self._on_chunk_end if self._left else self._on_trailer

    def _on_chunk_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise BadFramingError(f"not the end of a chunk: {line[:40]!r}")
        self._expect = self._on_size

    def _on_trailer(self, line: bytes) -> None:
        if line == b"\r\n":
            self.done = True
            return
        self._trailers += len(line)
        if _TRAILER.fullmatch(line) is None or self._trailers > MAX_TRAILERS:
            raise BadFramingError(f"not a trailer: {line[:40]!r}")
