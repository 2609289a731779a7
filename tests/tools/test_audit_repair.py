"""./dev audit --repair: what it mends, and what it leaves alone."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from appointments_service.store_dynamodb import items
from tests.appointments.conftest import Suite
from tests.tools.audits import (
    DAY,
    TALLY,
    audited,
    book,
    change,
    delete,
    keys,
    put,
    stored,
    update,
)
from tests.tools.clinics import clinic_fixture  # noqa: F401 - the fixture `clinic`
from tests.tools.repairs import (
    DOCTOR,
    SUMS,
    a_sum_too_high,
    buckets_of_nobody,
    repaired,
    repairing,
    taken_over,
    whole,
)
from tools.audit.repair import Repair
from tools.environments import ROOT

Plant = Callable[[Suite, dict[str, Any]], Awaitable[None]]


async def a_patients_bucket(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "patient#pat", DAY, "ADD busy :value", {"NS": ["114"]})


async def an_override_of_nobody(clinic: Suite, made: dict[str, Any]) -> None:
    await taken_over(clinic, 108, 200)


async def what_a_killed_repair_left(clinic: Suite, made: dict[str, Any]) -> None:
    await buckets_of_nobody(clinic, made)
    await taken_over(clinic, 114)


async def a_tally_lost(clinic: Suite, made: dict[str, Any]) -> None:
    await delete(clinic, "doctor#doc", TALLY)


@pytest.mark.parametrize(
    ("plant", "repairs"),
    [
        (buckets_of_nobody, [(DOCTOR, "frees 09:30–09:35, 23:55–24:00")]),
        (a_patients_bucket, [("patient pat, 2026-03-03 UTC", "frees 09:30–09:35")]),
        (an_override_of_nobody, [(DOCTOR, "frees 09:00–09:05, 16:40–16:45")]),
        (what_a_killed_repair_left, [(DOCTOR, "frees 09:30–09:35, 23:55–24:00")]),
        (a_sum_too_high, [(SUMS, "sets to the recount: n_booked is 2, counted 1")]),
        (
            a_tally_lost,
            [
                (
                    SUMS,
                    "sets to the recount: booked_minutes is 0, counted 30; h09 is 0, counted 1; "
                    "l1 is 0, counted 1; lead_minutes is 0, counted 1500; n_booked is 0, counted 1",
                )
            ],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_is_repaired_is_as_before_and_nothing_else_is_touched(
    clinic: Suite, plant: Plant, repairs: list[tuple[str, str]]
) -> None:
    await clinic.set_hours()
    made = await book(clinic, "09:00", "pat")
    await book(clinic, "11:00", "bystander", day=4)
    before = await whole(clinic)
    await plant(clinic, made)
    broken = await whole(clinic)
    told = await repairing(clinic, writes=False).run(await audited(clinic))
    assert told == [Repair(where, what, is_done=False) for where, what in repairs]
    assert await whole(clinic) == broken
    assert await repaired(clinic) == [Repair(*repair, is_done=True) for repair in repairs]
    assert await whole(clinic) == before
    assert await repaired(clinic) == []


async def an_offer_lost(clinic: Suite) -> None:
    body = {"doctor_id": "doc", "from": "2026-03-03", "to": "2026-03-03"}
    headers = {**clinic.patient(), "Idempotency-Key": "waits"}
    answer = await clinic.client.post("/v1/waitlist", json=body, headers=headers)
    assert answer.status == 201, await answer.text()
    await clinic.fill()
    key = (await answer.json())["id"].removeprefix("pat")
    await delete(clinic, "patient#pat", f"waitlist#{key}")


async def test_the_time_of_an_offer_that_is_lost_is_freed_and_that_of_others_kept(
    clinic: Suite,
) -> None:
    await clinic.set_hours()
    await an_offer_lost(clinic)
    body = {"doctor_id": "doc", "from": "2026-03-03", "to": "2026-03-03"}
    headers = {**clinic.patient("other"), "Idempotency-Key": "waits"}
    assert (await clinic.client.post("/v1/waitlist", json=body, headers=headers)).status == 201
    await clinic.fill()
    state = items.state_of(await stored(clinic, "doctor#doc", DAY))
    assert state.busy == sum(1 << bucket for bucket in range(108, 120))
    assert await repaired(clinic) == [Repair(DOCTOR, "frees 09:00–09:30", is_done=True)]
    state = items.state_of(await stored(clinic, "doctor#doc", DAY))
    assert state == (sum(1 << bucket for bucket in range(114, 120)), 0)


async def a_second_one(clinic: Suite, made: dict[str, Any]) -> None:
    twin = await stored(clinic, *keys(made))
    await put(clinic, {**twin, "user_id": {"S": "other"}})
    # So that only the overlap is wrong of this day.
    await update(clinic, "doctor#doc", TALLY, "SET n_booked = :value", {"N": "1"})


async def a_bucket_given_back(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "DELETE busy :value", {"NS": ["108", "109"]})


async def a_status_unknown(clinic: Suite, made: dict[str, Any]) -> None:
    await change(clinic, made, status={"S": "lost"})


async def a_calendar_of_text(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "SET busy = :value", {"S": "all"})


async def a_tally_of_text(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", TALLY, "SET n_booked = :value", {"S": "one"})


async def history_cut(clinic: Suite, made: dict[str, Any]) -> None:
    await change(clinic, made, history={"S": "[]"})


@pytest.mark.parametrize(
    "plant",
    [
        a_bucket_given_back,
        a_status_unknown,
        a_calendar_of_text,
        a_tally_of_text,
        history_cut,
    ],
)
async def test_what_only_a_person_can_decide_is_left_alone(clinic: Suite, plant: Plant) -> None:
    await clinic.set_hours()
    made = await book(clinic, "09:00", "pat")
    await plant(clinic, made)
    broken = await whole(clinic)
    assert [repair for repair in await repaired(clinic) if repair.is_done] == []
    assert await whole(clinic) == broken
    assert (await audited(clinic)).breaches != []


async def test_appointments_that_overlap_stay_and_only_their_sums_are_set(clinic: Suite) -> None:
    await clinic.set_hours()
    made = await book(clinic, "09:00", "pat")
    await a_second_one(clinic, made)
    broken = await whole(clinic)
    [repair] = await repaired(clinic)
    assert (repair.where, repair.is_done) == (SUMS, True)
    after = await whole(clinic)
    assert after.pop(("doctor#doc", TALLY))["n_booked"] == {"N": "2"}
    del broken["doctor#doc", TALLY]
    assert after == broken


def run_audit(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tools.audit", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_the_command_tells_first_and_repairs_when_told(clinic: Suite, ministack: str) -> None:
    await clinic.set_hours()
    await book(clinic, "09:00", "pat")
    await buckets_of_nobody(clinic, {})
    where = ("--endpoint", ministack, "--table", clinic.table, "--repair")
    told = await asyncio.to_thread(run_audit, *where)
    assert told.returncode == 1
    what = f"{DOCTOR}: frees 09:30–09:35, 23:55–24:00"
    assert told.stdout.splitlines()[0] == f"with --apply: {what}"
    assert told.stdout.endswith("\n1 breach\n")
    done = await asyncio.to_thread(run_audit, *where, "--apply")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"repaired: {what}"
    assert done.stdout.endswith("\n0 breaches\n")
    await a_sum_too_high(clinic, {})
    document = json.loads((await asyncio.to_thread(run_audit, *where, "--json", "--apply")).stdout)
    assert document["breaches"] == []
    assert [(repair["where"], repair["is_done"]) for repair in document["repairs"]] == [
        (SUMS, True)
    ]


async def test_a_database_of_another_kind_is_one_line(clinic: Suite, ministack: str) -> None:
    where = ("--endpoint", ministack, "--table", clinic.table, "--users-database", "sqlite://")
    result = await asyncio.to_thread(run_audit, *where)
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("dev: --users-database: the database is sqlite+aiosqlite:")


def test_apply_is_said_of_repairs_only() -> None:
    result = run_audit("--apply")
    assert result.returncode == 2
    assert result.stderr.endswith("--apply goes with --repair\n")
