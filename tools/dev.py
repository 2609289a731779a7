"""The entry that `./dev` starts: lists the commands, sets up what one needs, and hands over to it.

Only the standard library is used here: this runs before anything is installed. Each command is the
module of its name in this directory.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from tools import environments
from tools.environments import Environment, SetupError


@dataclass(frozen=True)
class Command:
    """A command of ./dev.

    Attributes:
        summary: what it does, for the list.
        needs: the environments that must be whole before it runs. The first runs it; a command
            without any runs on the standard library alone.
    """

    summary: str
    needs: tuple[Callable[[], Environment], ...] = ()


_PROJECT = (environments.project,)
_BOTH = (environments.project, environments.emulator)

COMMANDS = {
    "up": Command(
        "start the suite [--detach] [--port N] [--scale appointments=3] [--fresh]", _BOTH
    ),
    "status": Command("show the suite's instances: pid, port, state, uptime, restarts"),
    "logs": Command("print the logs [instance or service] [-f]"),
    "down": Command("end the suite and wait until nothing of it is left"),
    "replace": Command("replace a service's containers by a newer build SERVICE [--project NAME]"),
    "test": Command("run every test [pytest's own arguments]", _BOTH),
    "lint": Command("check style, types, imports, documents and the files themselves", _PROJECT),
    "replay": Command("book real appointments FILE [--limit N] [--concurrency N]", _BOTH),
    "audit": Command("check what must always hold against the live stores", _BOTH),
    "stress": Command(
        "book under faults, and check it against a model [--operations N] [--seed S]", _BOTH
    ),
    "bench": Command("measure, each figure beside a baseline of the same run", _BOTH),
    "openapi": Command("write each service's openapi.json, and docs/access.md [--check]", _PROJECT),
    "pins": Command("compile all pinned requirements anew"),
}


def usage() -> str:
    """Return the list of all commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        (
            "usage: ./dev COMMAND [arguments]        ./dev COMMAND --help tells more",
            "",
            *lines,
            f"  {'help':{width}}  print this list",
        )
    )


def main(arguments: Sequence[str]) -> int:
    """Become the command that `arguments` names; returns when there is nothing to become."""
    name, *rest = arguments or ["help"]
    if name in ("help", "-h", "--help"):
        print(usage())
        return 0
    command = COMMANDS.get(name)
    if command is None:
        print(f"dev: there is no command {name!r}: ./dev help lists them", file=sys.stderr)
        return 2
    needed = [environment() for environment in command.needs]
    try:
        environments.ensure(needed)
    except SetupError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return _become(str(needed[0].python) if needed else sys.executable, name, rest)


def _become(python: str, name: str, arguments: Sequence[str]) -> NoReturn:
    # In the place of this process, so that signals and the exit code are the command's own.
    os.execv(python, [python, "-m", f"tools.{name}", *arguments])


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `./dev help | head` is no error
    sys.exit(main(sys.argv[1:]))
