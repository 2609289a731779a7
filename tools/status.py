"""./dev status: what runs, and how it is. 0 when all is healthy, 1 when not or nothing runs."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools import http
from tools.rundir import RunDirectory


async def check(process: dict[str, Any], gateway_admin: int) -> str:
    """Return the state of a process of suite.json as it is now, asking a healthy one itself."""
    state: str = process["state"]
    if state != "healthy":
        return state
    port = gateway_admin if process["name"] == "gateway" else process["port"]
    path = "/_ministack/health" if process["name"] == "emulator" else "/health"
    try:
        return "healthy" if await http.is_healthy(port, path) else "unhealthy"
    except OSError:
        return "no answer"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as columns; numbers are to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if cell.isdecimal() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def uptime(seconds: float) -> str:
    """Return a duration as 45 s, 12 min, 3 h or 2 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


async def _main(run: RunDirectory) -> int:
    suite = run.read_suite() if run.supervisor_pid() is not None else None
    if suite is None:
        print("the suite is not running: ./dev up starts it")
        return 1
    admin = int(suite["gateway_admin"].rpartition(":")[2])
    processes = suite["processes"]
    states = await asyncio.gather(*(check(process, admin) for process in processes))
    rows = [("instance", "pid", "port", "state", "uptime", "restarts")]
    for process, state in zip(processes, states, strict=True):
        rows.append(
            (
                process["name"],
                str(process["pid"] or "-"),
                str(process["port"]),
                state,
                uptime(time.time() - process["since"]) if process["pid"] else "-",
                str(process["restarts"]),
            )
        )
    print(f"{suite['gateway']}\n\n{table(rows)}")
    return 0 if all(state == "healthy" for state in states) else 1


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="./dev status", description=__doc__)
    parser.add_argument("--run-dir", type=Path, default=RunDirectory().path)
    return asyncio.run(_main(RunDirectory(parser.parse_args(arguments).run_dir.resolve())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
