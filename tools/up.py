"""./dev up: start the whole suite on this machine, and keep it running until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from tools import credentials, environments
from tools.processes import can_listen, free_port
from tools.progress import Progress
from tools.rundir import RunDirectory, StillAliveError
from tools.suite import MAX_INSTANCES, SCOPES, SERVICES, Suite
from tools.supervisor import StartError, Supervisor

DEFAULT_PORT = 8080
_LOG_LINES = 20
_SUITE = "the suite"  # its name beside those of its parts


class UsageError(Exception):
    """It can't start as it was asked to; the text is one line that says what to do."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (./dev up --help)")


def parse_scale(values: Sequence[str]) -> dict[str, int]:
    """Read `appointments=3`, …; raises UsageError."""
    scale = {}
    for value in values:
        service, _, number = value.partition("=")
        if service not in SERVICES:
            known = ", ".join(SERVICES)
            raise UsageError(f"--scale {value}: there is no service {service!r}, only {known}")
        if not number.isdecimal() or not 1 <= int(number) <= MAX_INSTANCES:
            raise UsageError(f"--scale {value}: write {service}=N with N from 1 to {MAX_INSTANCES}")
        scale[service] = int(number)
    return scale


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; raises UsageError."""
    parser = _Parser(prog="./dev up", description=__doc__)
    parser.add_argument("--detach", action="store_true", help="return when all is healthy")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="the gateway's port (8080; 0 for any free)"
    )
    parser.add_argument(
        "--scale",
        nargs="+",
        action="extend",
        default=[],
        metavar="SERVICE=N",
        help="how many instances a service has (1)",
    )
    parser.add_argument("--fresh", action="store_true", help="forget all data and secrets first")
    parser.add_argument(
        "--run-dir", type=Path, default=RunDirectory().path, help="where data and logs are (.run)"
    )
    parser.add_argument("--healthy-fd", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port {options.port}: a port is a number from 0 to 65535")
    options.scale = parse_scale(options.scale)
    options.run_dir = options.run_dir.resolve()
    return options


def main(arguments: Sequence[str]) -> int:
    """Run until told to end, with --detach until all is healthy; 2 if it was asked wrongly."""
    try:
        options = parse(arguments)
        if options.detach:
            return _detach(arguments)
        return _supervise(options)
    except (UsageError, StillAliveError) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before anything was started: later it is a signal like others
        return 130


def _detach(arguments: Sequence[str]) -> int:
    """Start this command in a session of its own; it writes to our terminal until it is healthy."""
    reader, writer = os.pipe()
    rest = [argument for argument in arguments if argument != "--detach"]
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "tools.up", *rest, f"--healthy-fd={writer}"],
        stdin=subprocess.DEVNULL,
        pass_fds=(writer,),
        start_new_session=True,
    )
    os.close(writer)
    try:
        if os.read(reader, 1):
            return 0
    except KeyboardInterrupt:
        supervisor.terminate()
    return supervisor.wait() or 1


def _free_port_after(port: int) -> int:
    return next(
        (near for near in range(port + 1, min(port + 100, 65536)) if can_listen(near)), free_port()
    )


def _supervise(options: argparse.Namespace) -> int:
    run = RunDirectory(options.run_dir)
    started = time.monotonic()
    if run.lock_supervisor() is None:
        address = (run.read_suite() or {}).get("gateway", "starting")
        raise UsageError(f"the suite runs already ({address}): ./dev status, or ./dev down first")
    children = run.lock_children()
    if options.fresh:
        run.wipe()
    run.create()
    port = options.port or free_port()
    if not can_listen(port):
        raise UsageError(
            f"127.0.0.1:{port} is in use by another program: end that, or choose another port: "
            f"./dev up --port {_free_port_after(port)}"
        )
    for log in run.logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))
    secrets = credentials.ensure(run.secrets, tuple(SCOPES))
    suite = Suite(
        run,
        secrets,
        port=port,
        scale=options.scale,
        emulator_python=environments.emulator().python,
    )
    try:
        return asyncio.run(_keep_running(options, run, suite, children, started))
    finally:
        run.suite.unlink(missing_ok=True)
        os.truncate(run.supervisor, 0)


async def _keep_running(
    options: argparse.Namespace, run: RunDirectory, suite: Suite, children: int, started: float
) -> int:
    stop = _stop_on_signals(run)
    with Progress() as progress:

        def changed() -> None:
            suite.write_state(supervisor.instances)
            if missing := supervisor.waiting_for():
                progress.show(_SUITE, f"waiting for {', '.join(missing)}")

        supervisor = Supervisor(
            suite.jobs,
            suite.services,
            changed=changed,
            say=progress.done,
            inherited=(children,),
        )
        try:
            if await _stopped_before(_start(supervisor, suite), stop):
                return 0
            progress.done(_SUITE, f"up after {time.monotonic() - started:.1f} s")
            print(_welcome(suite, detached=options.healthy_fd is not None), flush=True)
            if options.healthy_fd is not None:
                _write_to_log(run)
                with suppress(BrokenPipeError):  # who started us may be gone, but wanted us to run
                    os.write(options.healthy_fd, b"1")
                os.close(options.healthy_fd)
            await _stopped_before(supervisor.failed(), stop)
        except StartError as error:
            end = "\n".join(error.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
            print(f"dev: {error}; the end of {error.log}:\n{end}", file=sys.stderr)
            return 1
        finally:
            progress.show(_SUITE, "ending")
            await supervisor.stop()
            progress.done(_SUITE, "ended")
    return 0


async def _start(supervisor: Supervisor, suite: Suite) -> None:
    await supervisor.start()
    await suite.wait_until_routed()


async def _stopped_before(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Wait for `work`, or for the wish to stop, and tell whether it was the latter."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await working
        return stop.is_set()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _stop_on_signals(run: RunDirectory) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def hang_up() -> None:
        _write_to_log(run)  # the terminal is gone, and writing to it would fail
        stop.set()

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    return stop


def _write_to_log(run: RunDirectory) -> None:
    """Send what this process prints to a file from now on."""
    with (run.logs / "supervisor.log").open("ab") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())


def _welcome(suite: Suite, *, detached: bool) -> str:
    json_body = "-H 'Content-Type: application/json' -d"
    email, password = suite.admin
    login = f'{{"email": "{email}", "password": "{password}"}}'
    register = (
        '{"email": "ada@patients.example", "password": "a long enough password", '
        '"full_name": "Ada Example"}'
    )
    end = "./dev down ends it" if detached else "Ctrl-C ends it"
    return f"""
  address   {suite.gateway}
  admin     {email}
  password  {password}

Three calls to try:
  curl {suite.gateway}/v1/doctors
  curl {suite.gateway}/v1/auth/register {json_body} '{register}'
  curl {suite.gateway}/v1/auth/login {json_body} '{login}'

./dev status and ./dev logs tell how it is; {end}."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
