"""./dev replace: put a newer build of one service in the place of the running one, in containers.

The newer containers start beside the older ones, which end once the gateway sends requests to the
newer: no request is lost, and no other container is touched. If the newer ones don't get healthy,
or this is interrupted before they do (Ctrl-C, SIGTERM, SIGHUP), they are removed, and the older
ones serve on. Once the older ones are being ended there is no way back: whatever fails then, the
newer ones serve. Images of older builds stay, without a name: `docker image prune` removes them.

Exits 1 if the service was not replaced, or something isn't as it should be afterwards; 2 if docker
can't do something or another replacement is under way; 128 and the signal's number if interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tools.containers import DockerError, Suite
from tools.environments import ROOT, RUN
from tools.replace.replacement import WAIT_SECONDS, ReplaceError, Replacement
from tools.replace.steps import Interrupted, raise_on_signals, replace
from tools.rundir import try_lock

SERVICES = ("users", "appointments", "files")


class UnderWayError(Exception):
    """Another process is replacing this service."""


def main(arguments: Sequence[str], run: Path = RUN) -> int:
    """Run, with locks in the directory `run`; returns the exit code."""
    options = _parse(arguments)
    began = time.monotonic()

    def say(line: str) -> None:
        _write(f"{time.monotonic() - began:6.1f} s  {line}", sys.stdout)

    raise_on_signals()
    try:
        suite = Suite(ROOT, options.project)
        with _alone(run / f"replace-{suite.project_name()}-{options.service}.lock"):
            replace(Replacement(suite, options.service, wait_seconds=options.wait), say)
    except (ReplaceError, DockerError, UnderWayError, Interrupted) as error:
        for line in (str(error), *getattr(error, "__notes__", ())):
            _write(f"dev: {line}", sys.stderr)
        return _exit_code(error)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev replace",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("service", choices=SERVICES, metavar="SERVICE", help=", ".join(SERVICES))
    parser.add_argument("--project", help="the name that it was started under, if it was given one")
    parser.add_argument(
        "--wait",
        type=float,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long the newer build may take to get healthy ({WAIT_SECONDS:g})",
    )
    return parser.parse_args(arguments)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = try_lock(path)
    if descriptor is None:
        raise UnderWayError(f"another replacement is under way, which has {path}")
    try:
        yield
    finally:
        os.close(descriptor)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, Interrupted):
        return 128 + error.number
    return 1 if isinstance(error, ReplaceError) else 2


def _write(line: str, file: TextIO) -> None:
    try:
        print(line, file=file, flush=True)
    except OSError:  # who read it has gone, maybe with the terminal: no reason to stop halfway
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
