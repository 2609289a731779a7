"""./dev stress: book, move, cancel and more at once, over a store that fails, and check it all.

Several instances of the appointments service, one of them a process that is killed again and again,
work on one emulator, which is restarted in the midst. Between them and it, calls are refused,
throttled, lost before or after they took effect, or take effect late. What was asked and answered
is then checked against a sequential model (see check.py), the table by `./dev audit`, and the hours
of every time zone by an oracle. Exit code 1 on a breach.

The seed gives each worker its operations and each store its faults; in which order the event loop
lets them happen, it doesn't. A history with a breach is kept for a look.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pickle
import secrets
import sys
import tempfile
import time
import zoneinfo
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tools import environments
from tools.emulator import CREDENTIALS, Emulator
from tools.progress import Progress
from tools.stress.check import breaches
from tools.stress.history import History
from tools.stress.instance import quiet_logs
from tools.stress.run import Outcome, Plan, Run, table_client
from tools.stress.table import audit, read_kept
from tools.stress.zones import all_zones, breaches_of

KEPT = Path(".run/stress-history.pickle")


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000000")
    return int(text)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./dev stress", description=__doc__)
    parser.add_argument("--operations", type=_number, default=20_000)
    parser.add_argument("--workers", type=_number, default=16)
    parser.add_argument("--seed", type=_number, default=1 + secrets.randbelow(1_000_000))
    parser.add_argument("--no-zones", action="store_true", help="leave the sweep over zones out")
    return parser.parse_args(arguments)


async def stress(
    plan: Plan, progress: Progress, emulator_python: Path
) -> tuple[Outcome, list[str]]:
    """Run a plan and judge it: what it did, and every breach."""

    def begun(number: int) -> None:
        told = f"{number:,} of {plan.operations:,} operations"
        if number % max(1, plan.operations // 20) == 0:
            progress.done("stress", told)
        elif number % 50 == 0:
            progress.show("stress", told)

    with tempfile.TemporaryDirectory(prefix="stress-") as folder:
        place = Path(folder)
        with Emulator(emulator_python, "dynamodb", place / "state") as emulator:
            outcome = await Run(plan, emulator, begun).run(place)
            async with table_client(emulator) as client:
                outcome.history.kept = await read_kept(client)
                audited = await audit(client, outcome.history)
    progress.show("check", "looking for an order of the events")
    found = [f"invariant {one.invariant}: {one.where}: {one.what}" for one in audited]
    return outcome, found + breaches(outcome.history)


def sweep(progress: Progress) -> list[str]:
    """Every zone and every change of its clocks, minute by minute."""
    found: list[str] = []
    zones = all_zones()
    for number, (zone, changes) in enumerate(zones.items(), 1):
        progress.show("zones", f"{number} of {len(zones)}: {zone}")
        found += breaches_of(zone, changes, step=60)
    changed = sum(map(len, zones.values()))
    progress.done("zones", f"{len(zones)} zones with {changed:,} changes of clocks")
    return found


def print_history(history: History) -> None:
    """Print how each kind of operation was answered."""
    answers: dict[str, Counter[str]] = {}
    for one in history.operations:
        told = "no answer" if one.status == 0 else one.code or str(one.status)
        answers.setdefault(one.request.kind, Counter())[told] += 1
    for kind, counts in sorted(answers.items()):
        told = ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
        print(f"{kind:14} {told}")
    versions = sum(len(kept.versions) for kept in history.kept)
    print(f"{len(history.kept):,} appointments with {versions:,} versions are left")


def keep(history: History) -> None:
    """Put a history where a person can look at it."""
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_bytes(pickle.dumps(history))
    print(f"the history is in {KEPT}")


def main(arguments: Sequence[str]) -> int:
    """Run; returns the exit code: 0 all holds, 1 a breach."""
    zoneinfo.reset_tzpath(())  # as the services: the tzdata package's, not the system's
    options = parse(arguments)
    os.environ.update(CREDENTIALS)
    quiet_logs()
    plan = Plan(operations=options.operations, workers=options.workers, seed=options.seed)
    print(f"seed {plan.seed}: --seed {plan.seed} gives the same operations and faults", flush=True)
    began = time.monotonic()
    with Progress() as progress:
        python = environments.emulator().python
        outcome, found = uvloop.run(stress(plan, progress, python))
        seconds = time.monotonic() - began
        progress.done("stress", f"{len(outcome.history.operations):,} in {seconds:.0f} s")
        if not options.no_zones:
            found += sweep(progress)
    print_history(outcome.history)
    faults = ", ".join(f"{count:,} {name}" for name, count in outcome.faults.most_common())
    print(f"faults: {faults}")
    for breach in found:
        print(f"breach: {breach}")
    print(f"{len(found):,} breaches")
    if found:
        keep(outcome.history)
    return 1 if found else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
