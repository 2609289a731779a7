"""The supervisor, with small programs in the places of the services."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.tools.standins import job, service
from tools import http
from tools.environments import ROOT
from tools.supervisor import Job, Service, StartError, Supervisor


class Supervise(Protocol):
    def __call__(self, services: Sequence[Service], jobs: Sequence[Job] = ()) -> "Observed": ...


class Observed(Supervisor):
    """A supervisor whose changes can be awaited."""

    def __init__(self, services: Sequence[Service], jobs: Sequence[Job]) -> None:
        self._news = asyncio.Event()
        self.said: list[tuple[str, str]] = []
        super().__init__(jobs, services, changed=self._news.set, say=self._hear)

    def _hear(self, name: str, text: str) -> None:
        self.said.append((name, text))
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def pid(self, name: str) -> int:
        pid = self.instances[name].pid
        assert pid is not None
        return pid


@pytest.fixture
async def supervise() -> AsyncIterator[Supervise]:
    async with AsyncExitStack() as stack:

        def make(services: Sequence[Service], jobs: Sequence[Job] = ()) -> Observed:
            supervisor = Observed(services, jobs)
            stack.push_async_callback(supervisor.stop)
            return supervisor

        yield make


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be reaped doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


async def test_starts_all_and_returns_when_they_are_healthy(
    supervise: Supervise, tmp_path: Path
) -> None:
    supervisor = supervise([service("a", tmp_path), service("b", tmp_path)])
    await supervisor.start()
    assert [instance.state for instance in supervisor.instances.values()] == ["healthy", "healthy"]
    assert supervisor.waiting_for() == []
    for instance in supervisor.instances.values():
        assert await http.is_healthy(instance.port)


async def test_a_killed_process_is_replaced_on_its_port_and_the_others_are_kept(
    supervise: Supervise, tmp_path: Path
) -> None:
    supervisor = supervise([service("a", tmp_path), service("b", tmp_path)])
    await supervisor.start()
    killed, kept = supervisor.pid("a"), supervisor.pid("b")
    port = supervisor.instances["a"].port
    os.kill(killed, signal.SIGKILL)
    await supervisor.until(lambda: supervisor.instances["a"].restarts == 1)
    assert supervisor.instances["a"].state != "healthy"
    await supervisor.until(lambda: supervisor.instances["a"].state == "healthy")
    assert supervisor.pid("a") != killed
    assert supervisor.pid("b") == kept
    assert supervisor.instances["b"].restarts == 0
    assert supervisor.instances["a"].port == port
    assert ("a", "ended (signal SIGKILL), is replaced now") in supervisor.said


async def test_a_process_that_keeps_dying_is_replaced_ever_later(
    supervise: Supervise, tmp_path: Path
) -> None:
    supervisor = supervise([service("a", tmp_path)])
    await supervisor.start()
    for restarts in (1, 2, 3):
        os.kill(supervisor.pid("a"), signal.SIGKILL)
        await supervisor.until(lambda: supervisor.instances["a"].restarts == restarts)  # noqa: B023
        await supervisor.until(lambda: supervisor.instances["a"].state == "healthy")
    waits = [text.rpartition("replaced ")[2] for _, text in supervisor.said if "replaced" in text]
    assert waits == ["now", "in 0.5 s", "in 1.0 s"]


async def test_a_port_that_another_program_took_is_exchanged(
    supervise: Supervise, tmp_path: Path
) -> None:
    other = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with other:
        taken: int = other.sockets[0].getsockname()[1]
        supervisor = supervise([service("a", tmp_path, preferred_port=taken)])
        await supervisor.start()
        assert supervisor.instances["a"].port != taken


async def test_a_service_starts_after_what_it_needs(supervise: Supervise, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    write = f"open({str(starts)!r}, 'a').write('job\\n')"
    supervisor = supervise(
        [
            service("last", tmp_path, STARTS=starts, after=("job",)),
            service("first", tmp_path, STARTS=starts),
        ],
        [job("job", tmp_path, write, after=("first",))],
    )
    await supervisor.start()
    assert starts.read_text().split() == ["first", "job", "last"]


async def test_a_job_runs_again_when_the_service_it_prepared_was_replaced(
    supervise: Supervise, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    write = f"open({str(runs)!r}, 'a').write('run\\n')"
    supervisor = supervise(
        [service("store", tmp_path)],
        [job("table", tmp_path, write, after=("store",), again_with="store")],
    )
    await supervisor.start()
    os.kill(supervisor.pid("store"), signal.SIGKILL)
    await supervisor.until(lambda: [name for name, _ in supervisor.said].count("table") == 2)
    assert runs.read_text().split() == ["run", "run"]


@pytest.mark.parametrize(("code", "starts"), [(2, 1), (1, 3)])
async def test_a_service_that_never_comes_up_is_named_with_its_log(
    supervise: Supervise, tmp_path: Path, code: int, starts: int
) -> None:
    started = tmp_path / "starts"
    supervisor = supervise([service("a", tmp_path, FAIL=code, STARTS=started)])
    with pytest.raises(StartError, match=rf"a ended before it was healthy \(exit code {code}\)"):
        await supervisor.start()
    assert started.read_text().split() == ["a"] * starts  # bad settings (2) don't mend themselves
    assert "it can't go on" in (tmp_path / "a.log").read_text()


async def test_a_job_that_fails_stops_the_start(supervise: Supervise, tmp_path: Path) -> None:
    supervisor = supervise([], [job("table", tmp_path, "raise SystemExit('no store')")])
    with pytest.raises(StartError, match=r"table failed \(exit code 1\)") as failure:
        await supervisor.start()
    assert failure.value.log.read_text() == "no store\n"


async def test_stops_stage_by_stage_and_leaves_no_process(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    supervisor = Observed(
        [
            service(name, tmp_path, ENDS=ends, stage=stage)
            for name, stage in (("store", 2), ("gateway", 0), ("instance", 1))
        ],
        [],
    )
    await supervisor.start()
    pids = [supervisor.pid(name) for name in supervisor.instances]
    await supervisor.stop()
    assert ends.read_text().split() == ["gateway", "instance", "store"]
    assert not any(map(is_alive, pids))


async def test_a_process_that_does_not_end_is_killed(tmp_path: Path) -> None:
    supervisor = Observed([service("a", tmp_path, STUBBORN=1, stop_seconds=0.1)], [])
    await supervisor.start()
    pid = supervisor.pid("a")
    await supervisor.stop()
    assert not is_alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_no_process_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.tools.supervise", str(tmp_path), "a", "b"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as supervisor:
        assert supervisor.stdout is not None
        pids: list[int] = json.loads(supervisor.stdout.readline())
        watched = [os.pidfd_open(pid) for pid in pids]
        assert all(map(is_alive, pids))
        supervisor.kill()
        for descriptor in watched:
            # Readable when the process has ended (pidfd_open(2)).
            assert select.select([descriptor], [], [], 10)[0]
            os.close(descriptor)
    assert not any(map(is_alive, pids))
