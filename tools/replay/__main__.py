"""./dev replay: book real appointments through the public API, as their patients would.

FILE is a CSV, plain or gzipped, with the columns PatientId, AppointmentID, ScheduledDay,
AppointmentDay and Neighbourhood. Exits 1 on any 5xx, unexplained answer or lost booking.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import time
import zoneinfo
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import uvloop

from tools.answers import AnswersJournal, journal_of
from tools.progress import Progress
from tools.replay.api import API, Account, GaveUpError, RefusedError
from tools.replay.people import Identities
from tools.replay.plan import Plan, PlanError, make_plan
from tools.replay.replay import Replay
from tools.replay.report import answers_table, explanations, latency_table, unexplained
from tools.replay.rows import Rejected, RowsError, read_rows
from tools.rundir import RunDirectory

PASSWORD_VARIABLE = "REPLAY_ADMIN_PASSWORD"  # noqa: S105 - its name
_SHOWN_FAULTS = 20
_SHOWN_EVERY = 1.0  # seconds, on a terminal
_TOLD_EVERY = 10.0  # seconds, elsewhere


class UsageError(Exception):
    """The arguments can't be followed; the text says what to do."""


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./dev replay", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--limit", type=_positive, help="only the first so many rows")
    parser.add_argument("--concurrency", type=_positive, default=16, help="bookings at once (16)")
    parser.add_argument(
        "--life", action="store_true", help="move, cancel, check in and complete a share of them"
    )
    parser.add_argument(
        "--seed", type=int, help="of times, accounts and keys: a replay of today goes on with it"
    )
    parser.add_argument(
        "--tolerate-outages",
        action="store_true",
        help="502, 503, 504 and lost answers that pass are no failure: for tests that end things",
    )
    parser.add_argument("--target", help="a gateway's address; by default the running suite's")
    parser.add_argument("--admin-email", help=f"with --target; password in {PASSWORD_VARIABLE}")
    parser.add_argument("--admin-password-file", type=Path)
    parser.add_argument("--answers", type=Path, help="journal of answers, for ./dev audit")
    parser.add_argument("--run-dir", type=Path, default=RunDirectory().path)
    return parser.parse_args(arguments)


def target_of(options: argparse.Namespace, run: RunDirectory) -> tuple[str, str, str]:
    """The gateway's address, the admin's e-mail and password. Raises UsageError, OSError."""
    if options.target is None:
        suite = run.read_suite()
        if suite is None:
            raise UsageError("the suite is not running: ./dev up starts it, or name a --target")
        return suite["gateway"], suite["admin"]["email"], suite["admin"]["password"]
    if not options.target.startswith(("http://", "https://")):
        raise UsageError(f"--target {options.target}: an address such as http://localhost:8080")
    if options.admin_email is None:
        raise UsageError("--target needs --admin-email: an admin makes the doctors")
    if options.admin_password_file is not None:
        return options.target, options.admin_email, options.admin_password_file.read_text().strip()
    password = os.environ.get(PASSWORD_VARIABLE)
    if not password:
        raise UsageError(f"--target needs --admin-password-file or {PASSWORD_VARIABLE}")
    return options.target, options.admin_email, password


async def _tell(replay: Replay, total: int, progress: Progress) -> None:
    """Say how far it is, until cancelled: a moving line on a terminal, a line now and then else."""
    moving = sys.stderr.isatty()
    while True:
        await asyncio.sleep(_SHOWN_EVERY if moving else _TOLD_EVERY)
        text = replay.phase
        if replay.phase == "bookings":
            rate = replay.done / (time.monotonic() - replay.started)
            left = total - replay.done
            text = f"{replay.done:,} of {total:,} rows done, {left:,} left, {rate:.1f} rows/s"
            if rate:
                text += f", about {left / rate:.0f} s"
        (progress.show if moving else progress.done)("replay", text)


async def replay(
    options: argparse.Namespace, plan: Plan, run: RunDirectory, identities: Identities
) -> int:
    """Run the plan, print what came of it; the exit code."""
    target, email, password = target_of(options, run)
    answers = options.answers or (journal_of(run) if options.target is None else None)
    connector = aiohttp.TCPConnector(limit=options.concurrency)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        with ExitStack() as stack:
            journal = stack.enter_context(AnswersJournal(answers)) if answers else None
            progress = stack.enter_context(Progress())
            api = API(session, target)
            running = Replay(
                api,
                plan,
                Account(api, email, password),
                identities,
                concurrency=options.concurrency,
                journal=journal.write if journal is not None else lambda _: None,
            )
            teller = asyncio.create_task(_tell(running, len(plan.bookings), progress))
            interrupted = False
            try:
                await running.run()
            except (RefusedError, GaveUpError) as error:
                running.faults.append(f"{running.phase}: {error}")
            except asyncio.CancelledError:
                interrupted = True
            finally:
                teller.cancel()
                with suppress(asyncio.CancelledError):
                    await teller
    code = print_report(running, plan, options)
    return 130 if interrupted else code


def print_report(replay: Replay, plan: Plan, options: argparse.Namespace) -> int:
    """Print the tables and the verdict; the exit code."""
    explain = explanations(again=options.seed is not None, outages=options.tolerate_outages)
    statistics = replay.statistics
    print(f"\n{answers_table(statistics, explain)}\n\n{latency_table(statistics)}\n")
    for fault in replay.faults[:_SHOWN_FAULTS]:
        print(f"FAULT  {fault}")
    if len(replay.faults) > _SHOWN_FAULTS:
        print(f"FAULT  … and {len(replay.faults) - _SHOWN_FAULTS:,} more")
    strange = unexplained(statistics, explain)
    rate = replay.booked / replay.seconds if replay.seconds else 0.0
    print(
        f"{replay.booked:,} of {len(plan.bookings):,} rows booked in {replay.seconds:.1f} s, "
        f"{rate:.1f} rows/s; {strange:,} unexplained answers, {len(replay.faults):,} faults"
    )
    return 1 if strange or replay.faults else 0


def _introduce(plan: Plan, rejected: Sequence[Rejected], seed: int) -> None:
    patients = len({booking.row.patient for booking in plan.bookings})
    days = sorted({booking.row.day for booking in plan.bookings})
    for row in (*rejected, *plan.unplaced):
        print(f"left out: line {row.number}: {row.reason}")
    print(
        f"{len(plan.bookings):,} appointments of {patients:,} patients with "
        f"{len(plan.doctors):,} doctors on {len(days)} days, moved by {plan.weeks} weeks; "
        f"seed {seed}",
        flush=True,
    )


def main(arguments: Sequence[str]) -> int:
    """Run; returns the exit code: 0 all is as it should be, 1 it is not, 2 it could not begin."""
    zoneinfo.reset_tzpath(())  # zone data of the tzdata package, as the services use
    try:
        options = parse(arguments)
        run = RunDirectory(options.run_dir.resolve())
        target_of(options, run)
        rows, rejected = read_rows(options.file, options.limit)
        seed = options.seed if options.seed is not None else secrets.randbits(63)
        today = datetime.now(UTC).date()
        plan = make_plan(rows, today=today, seed=seed, life=options.life)
        _introduce(plan, rejected, seed)
        return uvloop.run(replay(options, plan, run, Identities(seed, today)))
    except (UsageError, RowsError, PlanError, OSError) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
