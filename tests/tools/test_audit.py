"""./dev audit: silent where all holds, also while the system is at work."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appointments_service.service.auditing import LOOK_AGAIN_SECONDS
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_table import Table
from tests.appointments.conftest import Suite
from tests.tools.audits import DAY, TALLY, UTC, act, audited, book, journal, update
from tests.tools.clinics import clinic_fixture  # noqa: F401 - the fixture `clinic`
from tools.answers import AnswersError, AnswersJournal, read_answers
from tools.audit.audit import Audit
from tools.environments import ROOT


async def a_busy_week(clinic: Suite) -> list[dict[str, Any]]:
    """Appointments in every state, moved and not; the last answer about each of them."""
    await clinic.set_hours("doc")
    # Its buffers lap over: the last one's lies on the next UTC day.
    night = {"tue": [{"start": "22:00", "end": "24:00"}]}
    await clinic.set_hours("night", weekly=night, buffer_before_minutes=10, buffer_after_minutes=15)
    kept = [await book(clinic, "09:00", "one")]
    moved = await book(clinic, "09:30", "two")
    kept.append(await act(clinic, moved, "reschedule", starts_at="2026-03-03T10:30:00Z"))
    moved = await book(clinic, "10:00", "three")
    kept.append(await act(clinic, moved, "reschedule", starts_at="2026-03-04T10:00:00Z"))
    kept.append(await act(clinic, await book(clinic, "11:30", "four"), "cancel", reason="well"))
    there = await book(clinic, "11:30", "five")
    await act(clinic, there, "check-in")
    kept.append(await act(clinic, there, "complete"))
    kept.append(await book(clinic, "23:30", "six", doctor="night"))
    missed = await book(clinic, "22:00", "seven", doctor="night")
    kept.append(await book(clinic, "09:00", "one", day=4))
    clinic.advance(days=2)
    kept.append(await act(clinic, missed, "no-show"))
    return kept


async def test_nothing_is_wrong_after_real_bookings_moves_and_cancellations(clinic: Suite) -> None:
    kept = await a_busy_week(clinic)
    report = await audited(clinic, journal(*kept))
    assert report.breaches == []
    assert report.looked_again == 0
    assert report.seen["appointments"] == len(kept) == 8
    assert report.seen["appointments cancelled"] == report.seen["appointments no_show"] == 1
    assert report.seen["stored answers"] == 10
    assert report.seen["journal answers"] == 8
    assert report.seen["others"] == 2  # the schedules


@pytest.mark.parametrize(("segments", "items_a_scan"), [(3, 10**6), (1, 7), (2, 20)])
async def test_segments_and_shares_see_everything_once(
    clinic: Suite, segments: int, items_a_scan: int
) -> None:
    await a_busy_week(clinic)
    whole = await audited(clinic)
    report = await audited(clinic, segments=segments, items_a_scan=items_a_scan)
    assert report.seen == whole.seen
    assert (report.scans > 1) == (items_a_scan < 10**6)
    assert report.breaches == []
    await update(clinic, "doctor#doc", DAY, "ADD busy :value", {"NS": ["1"]})
    again = await audited(clinic, segments=segments, items_a_scan=items_a_scan)
    assert [breach.invariant for breach in again.breaches] == [2]


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ({"version": 3}, "a test was told with version 3, and it is in version 2"),
        (
            {"version": 1, "status": "cancelled"},
            "a test was told cancelled at .* says booked at .*",
        ),
        ({"starts_at": "2026-03-03T11:00:00Z"}, ".*11:00:00Z, its history says .*09:30:00Z"),
        ({"version": 0}, "a test was told with version 0, of which history doesn't tell"),
        ({"id": "pat" + "0" * 26}, "a test was told, and it is not there"),
        ({"id": "short"}, "a test was told, and it is not there"),
    ],
)
async def test_an_answer_that_is_not_kept_is_named(
    clinic: Suite, lie: dict[str, Any], what: str
) -> None:
    await clinic.set_hours()
    first = await book(clinic, "09:00", "pat")
    second = await act(clinic, first, "reschedule", starts_at="2026-03-03T09:30:00Z")
    assert (await audited(clinic, journal(first, second))).breaches == []
    told = journal(first, {**second, **lie}, second)
    [breach] = (await audited(clinic, told)).breaches
    assert breach.invariant == 4
    assert re.fullmatch(what, breach.what)


class Hurried(Table):
    """A table that is changed between the two halves of its scan: no snapshot at all."""

    def __init__(self, clinic: Suite, change: Callable[[], Awaitable[None]]) -> None:
        super().__init__(clinic.dynamodb, clinic.table)
        self._change = change

    async def scan(
        self, segments: int, take: Callable[[list[items.Item]], Awaitable[None]]
    ) -> None:
        pages: list[list[items.Item]] = []

        async def keep(page: list[items.Item]) -> None:
            pages.append(page)

        def calendar(item: items.Item) -> bool:
            sort: str = item["appointment_id"]["S"]
            return sort.startswith(("day#", "tally#"))

        await super().scan(segments, keep)
        for page in pages:
            await take([item for item in page if calendar(item)])
        pages.clear()
        await self._change()
        await super().scan(segments, keep)
        for page in pages:
            await take([item for item in page if not calendar(item)])


async def test_what_changes_during_the_scan_is_no_breach(clinic: Suite) -> None:
    kept = await a_busy_week(clinic)

    async def change() -> None:
        await act(clinic, kept[0], "cancel")
        await book(clinic, "09:00", "late", day=6)

    report = await Audit(Hurried(clinic, change), UTC).run()
    # Of two doctors' and two patients' days, and of both tallies, the scan saw one side only.
    assert report.looked_again == 6
    assert report.breaches == []


async def test_an_audit_of_a_system_at_work_finds_nothing(clinic: Suite) -> None:
    await clinic.set_hours()
    done = asyncio.Event()

    async def work(patient: str, time: str) -> None:
        day = 3
        while not done.is_set():
            made = await book(clinic, time, patient, day=day % 9 + 3)
            await act(clinic, made, "cancel")
            day += 1

    workers = [
        asyncio.create_task(work(f"p{n}", f"{9 + n // 2:02}:{n % 2 * 30:02}")) for n in range(4)
    ]
    reports = [await audited(clinic, look_again=LOOK_AGAIN_SECONDS) for _ in range(5)]
    done.set()
    await asyncio.gather(*workers)
    assert [report.breaches for report in reports] == [[]] * 5


def run_audit(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tools.audit", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_the_command_lists_breaches_and_tells_by_its_exit_code(
    clinic: Suite, ministack: str, tmp_path: Path
) -> None:
    kept = await a_busy_week(clinic)
    answers = tmp_path / "replay" / "answers.ndjson"
    with AnswersJournal(answers) as file:
        for answered in journal(*kept):
            file.write(answered)
    assert list(read_answers(answers)) == journal(*kept)
    where = ("--endpoint", ministack, "--table", clinic.table, "--answers", str(answers))
    clean = await asyncio.to_thread(run_audit, *where)
    assert (clean.returncode, clean.stdout.splitlines()[-1]) == (0, "0 breaches"), clean.stderr
    assert "8 appointments" in clean.stdout
    assert "8 journal answers" in clean.stdout
    await update(clinic, "doctor#doc", TALLY, "ADD n_booked :value", {"N": "1"})
    broken = await asyncio.to_thread(run_audit, *where)
    assert broken.returncode == 1
    assert re.match(r"invariant 3: tally of doctor doc, 2026-03-03: n_booked is", broken.stdout)
    assert broken.stdout.endswith("\n1 breach\n")
    document = json.loads((await asyncio.to_thread(run_audit, *where, "--json")).stdout)
    assert document["seen"]["appointments"] == 8
    assert [breach["invariant"] for breach in document["breaches"]] == [3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "dev: the suite is not running: ./dev up starts it"),
        (["--endpoint", "http://127.0.0.1:1", "--table", "none"], "dev: the table none can't be"),
        (["--endpoint", "http://127.0.0.1:1", "--answers", "/none"], "dev: [Errno 2] No such file"),
        (["--endpoint", "127.0.0.1"], "dev: --endpoint 127.0.0.1: an address such as"),
    ],
)
def test_what_can_not_be_audited_is_one_line(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    result = run_audit("--run-dir", str(tmp_path), *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(says)
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_no_journal_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "answers"
    file.write_text('{"source": "x"}\n')
    with pytest.raises(AnswersError, match="line 1: no answer of a replay"):
        list(read_answers(file))
