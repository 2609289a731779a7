"""The directory of a running suite (.run): its files, and the locks that tell what is alive."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tools.environments import RUN

T = TypeVar("T")

LEFTOVER_SECONDS = 90.0  # the emulator may need long to write a large state


class StillAliveError(Exception):
    """Processes of an earlier run don't end."""


@dataclass(frozen=True)
class RunDirectory:
    """Where things are.

    `supervisor.pid` is locked by the supervisor as long as it lives, so that a number left behind
    by one that was killed never counts. `children.lock` is inherited by every process of the suite:
    while it is locked, one of them is alive.
    """

    path: Path = RUN

    @property
    def secrets(self) -> Path:
        """The generated secrets; open to the owner only."""
        return self.path / "secrets"

    @property
    def logs(self) -> Path:
        """One file an instance."""
        return self.path / "logs"

    @property
    def emulator(self) -> Path:
        """What MiniStack keeps."""
        return self.path / "emulator"

    @property
    def users_database(self) -> Path:
        """The embedded users database."""
        return self.path / "users.db"

    @property
    def targets(self) -> Path:
        """The gateway's targets."""
        return self.path / "targets.json"

    @property
    def ports(self) -> Path:
        """The ports of the last run, to be taken again."""
        return self.path / "ports.json"

    @property
    def suite(self) -> Path:
        """What runs now, for other programs; not there when nothing runs."""
        return self.path / "suite.json"

    @property
    def supervisor(self) -> Path:
        """The supervisor's process id."""
        return self.path / "supervisor.pid"

    def create(self) -> None:
        """Make the directories."""
        self.path.mkdir(parents=True, exist_ok=True)
        for directory in (self.secrets, self.logs, self.emulator):
            directory.mkdir(mode=0o700, exist_ok=True)

    def wipe(self) -> None:
        """Remove everything but locks."""
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.suffix != ".lock" and entry != self.supervisor:
                entry.unlink()

    def lock_supervisor(self) -> int | None:
        """Become this directory's supervisor: the descriptor to keep, or None if there is one."""
        self.path.mkdir(parents=True, exist_ok=True)
        # A moment's patience: ./dev status takes the lock too, to see whether it is free.
        descriptor = wait_for(lambda: try_lock(self.supervisor), 0.3)
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        return descriptor

    def supervisor_pid(self) -> int | None:
        """Return the living supervisor's process id, or None."""
        if not self.supervisor.exists():
            return None
        descriptor = try_lock(self.supervisor)
        if descriptor is not None:
            os.close(descriptor)
            return None
        return int(self.supervisor.read_text().strip() or 0) or None

    def lock_children(self, seconds: float = LEFTOVER_SECONDS, kill_seconds: float = 5.0) -> int:
        """Return the descriptor that children shall inherit, once nothing of an earlier run lives.

        What is left of one is told to end, and killed after `seconds`. Raises StillAliveError when
        even that didn't help for `kill_seconds`.
        """
        path = self.path / "children.lock"
        descriptor = try_lock(path)
        if descriptor is None:
            self._signal_leftovers(signal.SIGTERM)
            descriptor = wait_for(lambda: try_lock(path), seconds)
        if descriptor is None:
            self._signal_leftovers(signal.SIGKILL)
            descriptor = wait_for(lambda: try_lock(path), kill_seconds)
        if descriptor is None:
            raise StillAliveError(
                f"processes of an earlier run in {self.path} don't end: end them by hand (ps, kill)"
            )
        return descriptor

    def read_suite(self) -> dict[str, Any] | None:
        """Return what suite.json holds, or None when nothing runs."""
        try:
            content: dict[str, Any] = json.loads(self.suite.read_text())
        except FileNotFoundError:
            return None
        return content

    def _signal_leftovers(self, number: signal.Signals) -> None:
        # On Linux the kernel has done so already; elsewhere children survive a killed supervisor.
        for process in (self.read_suite() or {}).get("processes", []):
            pid, command = process["pid"], process["command"]
            if pid and _command_of(pid) == command:  # the number may belong to another by now
                os.kill(pid, number)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step by one that only its owner may read."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.replace(path)


def wait_for(look: Callable[[], T | None], seconds: float) -> T | None:
    """Look until there is something or time is up; for a lock, which tells nobody it is free."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def try_lock(path: Path) -> int | None:
    """Lock a file if nobody has: the descriptor, which holds it until it is closed, or None."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _command_of(pid: int) -> str:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # gone, or a system without /proc
        listed = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(pid)],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        return listed.stdout.strip()
    return arguments.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
