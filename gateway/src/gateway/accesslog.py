"""One JSON line a request."""

import asyncio
import json
from datetime import UTC, datetime
from typing import BinaryIO, Final

FLUSH_SECONDS: Final = 0.1


class AccessLog:
    """Collects lines and writes them together, so that a request does not wait for the disk."""

    def __init__(self, stream: BinaryIO) -> None:
        """Write to this stream."""
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._lines: list[str] = []
        self._flusher: asyncio.TimerHandle | None = None

    def write(self, record: dict[str, object]) -> None:
        """Add a request."""
        timestamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._lines.append(json.dumps({"event": "request", "timestamp": timestamp, **record}))
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
