"""Keeps processes running: starts what may start, replaces what dies, ends all in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tools.processes import die_with_parent, free_port

State = Literal["waiting", "starting", "healthy", "backing off", "stopped"]

_PROBE_SECONDS = 0.03
# A process that lived this long did not die of its start: the next replacement is immediate.
_STEADY_SECONDS = 10.0
_FIRST_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 30.0
_FIRST_START_ATTEMPTS = 3
_BAD_SETTINGS = 2  # every program of the suite ends so when it can't do with its settings
_KILL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command that runs once and must end with 0.

    Attributes:
        name: unique among jobs and services.
        after: names of what must be healthy, or done, before it starts.
        again_with: the service whose replacement makes this job necessary again.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    after: tuple[str, ...] = ()
    again_with: str | None = None


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process that runs until it is told to end.

    Attributes:
        environment: makes the environment from the port that it shall listen on.
        healthy: tells by its port whether it can do its work; may raise OSError.
        port: where it listens; None for any free port, which may be another after a replacement.
        preferred_port: taken when `port` is None and it is free.
        stage: services end in the order of their stages; those of one stage at the same time.
        stop_seconds: from SIGTERM to SIGKILL.
        start_seconds: one that is not healthy after this long is killed and replaced.
        orphan_signal: what it gets when the supervisor itself is killed.
    """

    name: str
    command: tuple[str, ...]
    environment: Callable[[int], Mapping[str, str]]
    log: Path
    healthy: Callable[[int], Awaitable[bool]]
    port: int | None = None
    preferred_port: int | None = None
    after: tuple[str, ...] = ()
    stage: int = 0
    stop_seconds: float = 15.0
    start_seconds: float = 30.0
    orphan_signal: signal.Signals = signal.SIGKILL


@dataclass
class Instance:
    """What a service is at the moment.

    Attributes:
        since: when the present process started, in seconds since the epoch.
    """

    service: Service
    port: int
    state: State = "waiting"
    pid: int | None = None
    since: float = 0.0
    restarts: int = 0


class StartError(Exception):
    """Something of the suite could not start.

    Attributes:
        name: which job or service.
        log: its log file.
    """

    def __init__(self, name: str, log: Path, reason: str) -> None:
        """Take what failed and how."""
        super().__init__(f"{name} {reason}")
        self.name = name
        self.log = log


@dataclass(eq=False)
class _Child:
    process: subprocess.Popen[bytes]
    stage: int
    stop_seconds: float
    exited: asyncio.Future[int] = field(default_factory=asyncio.Future)


class Supervisor:
    """Runs jobs and services. To be used on the main thread of an event loop of its own."""

    def __init__(
        self,
        jobs: Sequence[Job],
        services: Sequence[Service],
        *,
        changed: Callable[[], None],
        say: Callable[[str, str], None],
        inherited: Sequence[int] = (),
    ) -> None:
        """Take what shall run.

        Args:
            jobs: what runs once.
            services: what is kept running.
            changed: called whenever something in `instances` is different.
            say: told the name of a job or service and what became of it, for a person to read.
            inherited: file descriptors that every child keeps open.
        """
        self._jobs = jobs
        self.instances = {
            service.name: Instance(
                service,
                free_port(service.preferred_port) if service.port is None else service.port,
            )
            for service in services
        }
        self._changed = changed
        self._say = say
        self._inherited = tuple(inherited)
        self._ready = {name: asyncio.Event() for name in (*self.instances, *self._job_names())}
        self._children: set[_Child] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.Future()
        self._failure.add_done_callback(lambda failure: failure.exception())  # it may go unread

    def waiting_for(self) -> list[str]:
        """Return the names of what is not healthy, or not done, yet."""
        return [name for name, ready in self._ready.items() if not ready.is_set()]

    async def start(self) -> None:
        """Start all and return when every job is done and every service healthy.

        Raises StartError when a job fails or a service doesn't come up; `stop` must follow.
        """
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)
        for job in self._jobs:
            self._spawn_task(self._run(job))
        for instance in self.instances.values():
            self._spawn_task(self._keep(instance))
        self._changed()
        ready = asyncio.gather(*(event.wait() for event in self._ready.values()))
        either: set[asyncio.Future[Any]] = {ready, self._failure}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._failure.done():
            ready.cancel()
            self._failure.result()

    async def failed(self) -> None:
        """Wait until the supervisor itself can't go on; raises what stopped it."""
        await asyncio.shield(self._failure)

    async def stop(self) -> None:
        """End everything, stage by stage, and return when nothing is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stage in sorted({child.stage for child in self._children}):
            await asyncio.gather(*(_end(child) for child in self._children if child.stage == stage))
        for instance in self.instances.values():
            instance.state, instance.pid = "stopped", None
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    def _job_names(self) -> list[str]:
        return [job.name for job in self._jobs]

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # whatever it is, `start` or `failed` raises it
                if not self._failure.done():
                    self._failure.set_exception(error)

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, job: Job) -> None:
        await self._wait_for(job.after)
        await self._run_once(job)
        self._ready[job.name].set()

    async def _run_once(self, job: Job) -> None:
        started = time.monotonic()
        child = self._spawn(job.command, job.environment, job.log, signal.SIGKILL)
        code = await child.exited
        if code != 0:
            raise StartError(job.name, job.log, f"failed ({_ending(code)})")
        self._say(job.name, f"done after {time.monotonic() - started:.1f} s")

    async def _keep(self, instance: Instance) -> None:
        service, ready = instance.service, self._ready[instance.service.name]
        await self._wait_for(service.after)
        backoff = 0.0
        attempts = 0
        while True:
            started = time.monotonic()
            code = await self._run_until_it_ends(instance)
            attempts += 1
            hopeless = code == _BAD_SETTINGS or attempts == _FIRST_START_ATTEMPTS
            if hopeless and not ready.is_set():
                reason = f"ended before it was healthy ({_ending(code)})"
                raise StartError(service.name, service.log, reason)
            if time.monotonic() - started >= _STEADY_SECONDS:
                backoff = 0.0
            instance.state, instance.pid = "backing off", None
            instance.restarts += 1
            self._changed()
            wait = f"in {backoff:.1f} s" if backoff else "now"
            self._say(service.name, f"ended ({_ending(code)}), is replaced {wait}")
            await asyncio.sleep(backoff)
            backoff = min(max(2 * backoff, _FIRST_BACKOFF_SECONDS), _MAX_BACKOFF_SECONDS)

    async def _run_until_it_ends(self, instance: Instance) -> int:
        service = instance.service
        if service.port is None:
            instance.port = free_port(instance.port)
        child = self._spawn(
            service.command,
            service.environment(instance.port),
            service.log,
            service.orphan_signal,
            stage=service.stage,
            stop_seconds=service.stop_seconds,
        )
        instance.state, instance.pid = "starting", child.process.pid
        instance.since = time.time()
        self._changed()
        watch = self._spawn_task(self._become_healthy(instance, child))
        try:
            return await asyncio.shield(child.exited)
        finally:
            watch.cancel()

    async def _become_healthy(self, instance: Instance, child: _Child) -> None:
        service, ready = instance.service, self._ready[instance.service.name]
        started = time.monotonic()
        try:
            async with asyncio.timeout(service.start_seconds):
                while not await _probe(service, instance.port):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(_PROBE_SECONDS)
        except TimeoutError:
            self._say(service.name, f"not healthy after {service.start_seconds:.0f} s, is killed")
            _signal_group(child, signal.SIGKILL)
            return
        instance.state = "healthy"
        is_replacement = ready.is_set()
        ready.set()
        self._say(service.name, f"healthy after {time.monotonic() - started:.1f} s")
        self._changed()
        if is_replacement:
            for job in self._jobs:
                if job.again_with == service.name:
                    self._spawn_task(self._run_again(job))

    async def _run_again(self, job: Job) -> None:
        try:
            await self._run_once(job)
        except StartError as error:
            # The service died again meanwhile; its next replacement makes the next attempt.
            self._say(job.name, f"{error}; see {error.log}")

    async def _wait_for(self, names: Sequence[str]) -> None:
        for name in names:
            await self._ready[name].wait()

    def _spawn(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        orphan_signal: signal.Signals,
        *,
        stage: int = 0,
        stop_seconds: float = _KILL_SECONDS,
    ) -> _Child:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Of its own, so that Ctrl-C on the terminal reaches only the supervisor.
                start_new_session=True,
                pass_fds=self._inherited,
                preexec_fn=die_with_parent(orphan_signal),  # noqa: PLW1509 - one thread only
            )
        child = _Child(process, stage, stop_seconds)
        self._children.add(child)
        return child

    def _reap(self) -> None:
        """Learn which children ended; the kernel says only that one or more did (SIGCHLD)."""
        for child in list(self._children):
            code = child.process.poll()
            if code is not None:
                self._children.discard(child)
                child.exited.set_result(code)


async def _probe(service: Service, port: int) -> bool:
    try:
        return await service.healthy(port)
    except OSError:
        return False


async def _end(child: _Child) -> None:
    child.process.terminate()
    try:
        async with asyncio.timeout(child.stop_seconds):
            await asyncio.shield(child.exited)
    except TimeoutError:
        _signal_group(child, signal.SIGKILL)
        await child.exited


def _signal_group(child: _Child, number: signal.Signals) -> None:
    if child.process.returncode is None:  # not reaped yet, so that the id is still its own
        os.killpg(child.process.pid, number)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
