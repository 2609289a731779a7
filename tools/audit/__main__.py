"""./dev audit: check what must always hold of appointments, calendars, tallies and answers.

Reads the live stores while they are at work, lists every breach, and exits 1 if there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import zoneinfo
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy.exc import SQLAlchemyError

from appointments_service.errors import StoreUnavailableError
from appointments_service.store_dynamodb.audit_table import Table
from files_service.errors import StoreUnavailableError as ReportsUnavailableError
from files_service.settings import Settings as FilesSettings
from files_service.store_s3 import open_s3_client
from servicekit.aws import open_client
from servicekit.aws_session import new_session
from tools.answers import Answered, AnswersError, journal_of, read_answers
from tools.audit.audit import Audit, Report
from tools.audit.repair import Repair, RepairBusyError, Repairing
from tools.audit.reports import Reports
from tools.audit.sessions import audit_sessions
from tools.emulator import CREDENTIALS
from tools.progress import Progress
from tools.rundir import RunDirectory

_READ_SECONDS = 60.0  # a page of a scan takes an emulator long where the table is large


class UsageError(Exception):
    """The arguments can't be followed; the text says what to do."""


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{name!r} is no time zone") from error


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./dev audit", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--endpoint", help="of the store; by default the running suite's, `aws` for AWS itself"
    )
    parser.add_argument("--table", default="appointments")
    parser.add_argument("--region", default=os.environ.get("AWS_REGION", "us-east-1"))
    parser.add_argument(
        "--clinic-timezone",
        type=_zone,
        default=os.environ.get("APPOINTMENTS_CLINIC_TIMEZONE", "UTC"),
        help="the zone whose dates the tallies are kept by",
    )
    parser.add_argument("--segments", type=_count, default=1, help="scan so many parts at once")
    parser.add_argument(
        "--answers",
        type=Path,
        help="a replay's journal; by default that of replays against the running suite",
    )
    parser.add_argument(
        "--users-database",
        metavar="URL",
        default=os.environ.get("USERS_DATABASE_URL"),
        help="of users, for sessions; by default the running suite's, or USERS_DATABASE_URL",
    )
    parser.add_argument(
        "--bucket", help="of files, for reports; by default the running suite's, else none"
    )
    parser.add_argument("--deep", action="store_true", help="read all reports: have they changed?")
    parser.add_argument(
        "--repair", action="store_true", help="tell what could be repaired: buckets, tallies"
    )
    parser.add_argument("--apply", action="store_true", help="with --repair: and do so")
    parser.add_argument("--run-dir", type=Path, default=RunDirectory().path)
    options = parser.parse_args(arguments)
    if options.apply and not options.repair:
        parser.error("--apply goes with --repair")
    return options


def endpoint_of(options: argparse.Namespace, run: RunDirectory) -> str | None:
    """The store's address, None for AWS itself. Raises UsageError when there is none."""
    if options.endpoint is not None:
        endpoint = str(options.endpoint)
        if endpoint == "aws":
            return None
        if not endpoint.startswith(("http://", "https://")):
            raise UsageError(f"--endpoint {endpoint}: an address such as http://127.0.0.1:4566")
        return endpoint
    suite = run.read_suite()
    if suite is None:
        raise UsageError("the suite is not running: ./dev up starts it, or name an --endpoint")
    return str(suite["emulator"])


def answers_of(options: argparse.Namespace, run: RunDirectory) -> Iterable[Answered]:
    """The journal's answers, none where there is no journal of this store."""
    if options.answers is not None:
        options.answers.open().close()  # refused now, and not after a long scan
        return read_answers(options.answers)
    journal = journal_of(run)
    return read_answers(journal) if options.endpoint is None and journal.exists() else ()


def others_of(options: argparse.Namespace, run: RunDirectory) -> tuple[str | None, str | None]:
    """The database and the bucket to look at, None for none: of a running suite its own."""
    database, bucket = options.users_database, options.bucket
    if options.endpoint is None:
        if database is None and run.users_database.exists():
            database = f"sqlite+aiosqlite:///{run.users_database}"
        bucket = bucket or FilesSettings.model_fields["bucket"].default
    if options.deep and bucket is None:
        raise UsageError("--deep reads reports: name their --bucket")
    return database, bucket


def print_report(report: Report, seconds: float) -> None:
    """Print the breaches and what was looked at."""
    for breach in report.breaches:
        print(f"invariant {breach.invariant}: {breach.where}: {breach.what}")
    kinds = ["appointments", "calendar days", "tallies", "stored answers", "journal answers"]
    kinds += [kind for kind in ("refresh tokens", "reports") if kind in report.seen]
    seen = ", ".join(f"{report.seen[kind]:,} {kind}" for kind in kinds)
    statuses = ", ".join(
        f"{count:,} {name.removeprefix('appointments ')}"
        for name, count in sorted(report.seen.items())
        if name.startswith("appointments ")
    )
    print(f"{seen}, {report.seen['others']:,} other items in {seconds:.1f} s")
    if statuses:
        print(f"appointments: {statuses}")
    if report.looked_again:
        print(f"{report.looked_again:,} places changed during the scan or were wrong; looked again")
    count = len(report.breaches)
    print(f"{count:,} breaches" if count != 1 else "1 breach")


def print_repairs(repairs: Iterable[Repair], *, applied: bool) -> None:
    """Print what was done, or would be."""
    for repair in repairs:
        prefix = "repaired" if repair.is_done else "left" if applied else "with --apply"
        print(f"{prefix}: {repair.where}: {repair.what}")


async def _repaired(
    options: argparse.Namespace, client: Any, audit: Audit, report: Report
) -> list[Repair]:
    """What is repaired, or could be; then the report has only what is left."""
    repairing = Repairing(
        client,
        options.table,
        options.clinic_timezone,
        writes=options.apply,
        segments=options.segments,
    )
    repairs = await repairing.run(report)
    if options.apply:
        await audit.look_again(report)
    return repairs


async def _audit_others(
    options: argparse.Namespace,
    endpoint: str | None,
    others: tuple[str | None, str | None],
    report: Report,
    progress: Progress,
) -> None:
    database, bucket = others
    if database is not None:
        progress.show("audit", "sessions")
        try:
            report.add(*await audit_sessions(database))
        except ValueError as error:
            raise UsageError(f"--users-database: {error}") from error
    if bucket is not None:
        session = new_session()
        async with open_s3_client(session, region=options.region, endpoint=endpoint) as client:
            reports = Reports(
                client,
                bucket,
                deep=options.deep,
                progress=lambda step: progress.show("audit", step),
            )
            report.add(*await reports.run())


async def audit(
    options: argparse.Namespace,
    endpoint: str | None,
    answers: Iterable[Answered],
    others: tuple[str | None, str | None],
) -> int:
    """Run the audit and print what it found; the exit code."""
    started = time.monotonic()
    with Progress() as progress:
        async with open_client(
            "dynamodb", endpoint=endpoint, region=options.region, read_timeout=_READ_SECONDS
        ) as client:
            audit = Audit(
                Table(client, options.table),
                options.clinic_timezone,
                segments=options.segments,
                progress=lambda step: progress.show("audit", step),
            )
            report = await audit.run(answers)
            repairs = await _repaired(options, client, audit, report) if options.repair else []
        await _audit_others(options, endpoint, others, report, progress)
    seconds = time.monotonic() - started
    if options.json:
        document = {
            "seen": dict(sorted(report.seen.items())),
            "looked_again": report.looked_again,
            "scans": report.scans,
            "seconds": round(seconds, 3),
            "breaches": [breach._asdict() for breach in report.breaches],
            **({"repairs": [one._asdict() for one in repairs]} if options.repair else {}),
        }
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        print_repairs(repairs, applied=options.apply)
        print_report(report, seconds)
    return 1 if report.breaches else 0


def main(arguments: Sequence[str]) -> int:
    """Run; returns the exit code.

    0 all holds, or was repaired; 1 a breach that is there still; 2 it could not be looked at.
    """
    # As the services: zone data of the tzdata package, since the system's may be years old.
    zoneinfo.reset_tzpath(())
    try:
        options = parse(arguments)
        run = RunDirectory(options.run_dir.resolve())
        endpoint = endpoint_of(options, run)
        if endpoint is not None:
            # An emulator that looks at credentials at all knows these.
            for name, value in CREDENTIALS.items():
                os.environ.setdefault(name, value)
        others = others_of(options, run)
        return asyncio.run(audit(options, endpoint, answers_of(options, run), others))
    except (UsageError, AnswersError, OSError) as error:
        return _complain(str(error))
    except RepairBusyError as error:
        return _complain(str(error))
    except SQLAlchemyError as error:
        return _complain(f"users' database can't be read: {type(error).__name__}")
    except ReportsUnavailableError as error:
        return _complain(f"the bucket can't be read: {error}")
    except StoreUnavailableError as error:
        return _complain(f"the table {options.table} can't be read: {error}")
    except KeyboardInterrupt:
        return 130


def _complain(message: str) -> int:
    print(f"dev: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
