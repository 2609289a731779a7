"""A whole suite in a directory of its own, started before the tests and ended after them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools import environments
from tools.environments import ROOT
from tools.processes import die_with_parent
from tools.rundir import RunDirectory, write_private

_WAIT_SECONDS = 60.0


class RunningSuite:
    """What runs, as the suite itself tells it in its run directory."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run

    @property
    def state(self) -> dict[str, Any]:
        state = self.run.read_suite()
        assert state is not None, "the suite has ended"
        return state

    @property
    def gateway(self) -> str:
        gateway: str = self.state["gateway"]
        return gateway

    def process(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(row for row in self.state["processes"] if row["name"] == name)
        return found

    def restarts(self) -> dict[str, int]:
        return {row["name"]: row["restarts"] for row in self.state["processes"]}

    def targets(self) -> list[dict[str, Any]]:
        """Every target as the gateway sees it."""
        with urllib.request.urlopen(f"{self.state['gateway_admin']}/targets") as answer:
            rows: list[dict[str, Any]] = json.load(answer)
        return rows

    def healthy(self, service: str) -> int:
        """To how many instances the gateway sends requests."""
        return sum((row["service"], row["state"]) == (service, "healthy") for row in self.targets())

    async def until_whole(self) -> None:
        """Wait until the gateway sends requests to every instance."""
        await until(lambda: all(self.healthy(name) == n for name, n in SCALE.items()))

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """The process is there and does nothing: what a hanging machine looks like."""
        pid = self.process(name)["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def deregistered(self, service: str) -> Iterator[None]:
        """The gateway has no target for the service."""
        before = self.run.targets.read_text()
        write_private(self.run.targets, json.dumps({**json.loads(before), service: []}))
        try:
            yield
        finally:
            write_private(self.run.targets, before)

    def audit(self) -> None:
        """Fail if anything is not as it must always be (./dev audit)."""
        result = subprocess.run(
            [sys.executable, "-m", "tools.audit", "--run-dir", str(self.run.path)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr

    def log_positions(self) -> dict[Path, int]:
        return {path: path.stat().st_size for path in self.run.logs.glob("*.log")}

    def written_since(self, positions: dict[Path, int]) -> Iterator[tuple[str, str]]:
        """Every line of every log, the emulator's and the supervisor's too: whose, and the line."""
        for path in sorted(self.run.logs.glob("*.log")):
            with path.open("rb") as file:
                file.seek(positions.get(path, 0))
                for line in file.read().splitlines():
                    yield path.stem, line.decode(errors="replace")

    def logged_since(self, positions: dict[Path, int]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of the instances and the gateway: whose, and what."""
        for name, line in self.written_since(positions):
            if not name.startswith(("emulator", "supervisor")):
                yield name, _event(line)


# How many instances there are: two of appointments, so that their balancing is real.
SCALE = {"users": 1, "appointments": 2, "files": 1}


def _event(line: str) -> dict[str, Any]:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"event": "not JSON", "line": line}
    return event


async def until(condition: Callable[[], bool], seconds: float = _WAIT_SECONDS) -> None:
    """Wait for what other processes do; nothing tells of it here."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)


@contextmanager
def running_suite(directory: Path, **environment: str) -> Iterator[RunningSuite]:
    """Start a suite, and end it so that nothing of it is left."""
    environments.ensure([environments.emulator()])
    run = RunDirectory(directory)
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "tests.e2e.up", "--port=0", f"--run-dir={directory}"]
    scale = [f"{service}={number}" for service, number in SCALE.items()]
    with subprocess.Popen(
        [*command, "--scale", *scale, f"--healthy-fd={writer}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(writer,),
        preexec_fn=die_with_parent(signal.SIGTERM),
    ) as supervisor:
        os.close(writer)
        try:
            healthy = os.read(reader, 1)
            os.close(reader)
            if not healthy:
                assert supervisor.stdout is not None
                raise AssertionError(supervisor.stdout.read().decode(errors="replace"))
            yield RunningSuite(run)
        finally:
            supervisor.terminate()
            supervisor.communicate(timeout=_WAIT_SECONDS)
    assert supervisor.returncode == 0
    # Every process of the suite holds this lock: taking it proves that none is left.
    os.close(run.lock_children(seconds=0.0, kill_seconds=0.0))
