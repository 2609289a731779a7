"""One JSON line a request, written with others."""

import asyncio
from collections.abc import Mapping
from typing import BinaryIO, Final

from telemetry.logs import encode, now

FLUSH_SECONDS: Final = 0.1


class AccessLog:
    """Collects lines and writes them together, so that a request does not wait for the disk."""

    def __init__(self, stream: BinaryIO, fixed: Mapping[str, object]) -> None:
        """Write to this stream lines that all have these fields."""
        self._stream = stream
        # What all lines have between their time and their own fields, made once.
        self._fixed = encode({"level": "info", "event": "request", **fixed})[1:-1]
        self._loop = asyncio.get_running_loop()
        self._lines: list[str] = []
        self._flusher: asyncio.TimerHandle | None = None

    def write(self, record: Mapping[str, object]) -> None:
        """Add a request, of which the record has at least one field."""
        self._lines.append(f'{{"time":"{now()}",{self._fixed},{encode(record)[1:]}')
        if self._flusher is None:
            self._flusher = self._loop.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what was collected."""
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None
        if self._lines:
            lines, self._lines = self._lines, []
            self._stream.write(("\n".join(lines) + "\n").encode())
            self._stream.flush()
