"""What goes on, for a person who waits: a moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO


class Progress:
    """Shows what several jobs do at the moment; may be told from several threads.

    On a terminal one line is written over and over. Elsewhere, in a log file for instance, each
    job says once that it began, and `done` when it ended.
    """

    def __init__(self, output: TextIO | None = None) -> None:
        """Write to `output`, by default to standard error."""
        self._output = sys.stderr if output is None else output
        self._started = time.monotonic()
        self._jobs: dict[str, str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._clear()

    def show(self, job: str, step: str) -> None:
        """Say what `job` does now."""
        with self._lock:
            if self._moving:
                self._jobs[job] = step
                self._draw()
            elif job not in self._jobs:
                self._jobs[job] = step
                self._write(f"{job}: {step}\n")

    def done(self, job: str, result: str) -> None:
        """Say how `job` ended, on a line that stays."""
        with self._lock:
            self._clear()
            if self._moving:
                self._jobs.pop(job, None)
            self._write(f"{job}: {result}\n")
            if self._moving and self._jobs:
                self._draw()

    @property
    def _moving(self) -> bool:
        return self._output.isatty()  # asked each time: output may be sent elsewhere meanwhile

    def _draw(self) -> None:
        jobs = "  |  ".join(f"{job}: {step}" for job, step in self._jobs.items())
        line = f"{time.monotonic() - self._started:4.0f} s  {jobs}"
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\x1b[K{line[:width]}")

    def _clear(self) -> None:
        if self._moving:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()
