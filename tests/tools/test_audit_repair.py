"""./dev audit --repair: what it mends, what it leaves alone, and that it takes nobody's time."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import pytest

from appointments_service.domain.buckets import day_number
from appointments_service.domain.invariants import Calendar
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_table import Key, Table, key_of
from tests.appointments.conftest import Suite
from tests.tools.audits import (
    DAY,
    TALLY,
    UTC,
    act,
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
from tools.audit.audit import Report
from tools.audit.repair import Repair, RepairBusyError, Repairing
from tools.environments import ROOT

THE_DAY = Calendar("doctor", "doc", day_number(date(2026, 3, 3)))
DOCTOR = str(THE_DAY)
SUMS = "tally of doctor doc, 2026-03-03"


async def whole(clinic: Suite) -> dict[Key, items.Item]:
    """All that is in the table but leases, sets in order."""
    found: dict[Key, items.Item] = {}

    async def take(page: list[items.Item]) -> None:
        for item in page:
            for value in item.values():
                if "NS" in value:
                    value["NS"].sort()
            if key_of(item)[0] != "leases#":
                found[key_of(item)] = item

    await Table(clinic.dynamodb, clinic.table).scan(1, take)
    return found


def repairing(clinic: Suite, client: Any = None, *, writes: bool = True) -> Repairing:
    return Repairing(client or clinic.dynamodb, clinic.table, UTC, writes=writes)


async def repaired(clinic: Suite, client: Any = None) -> list[Repair]:
    return await repairing(clinic, client).run(await audited(clinic))


Plant = Callable[[Suite, dict[str, Any]], Awaitable[None]]


async def taken_over(clinic: Suite, *buckets: int) -> None:
    await clinic.dynamodb.update_item(
        TableName=clinic.table,
        Key=items.key("doctor#doc", DAY),
        UpdateExpression="ADD #over :value",
        ExpressionAttributeNames={"#over": "over"},
        ExpressionAttributeValues={":value": {"NS": [str(bucket) for bucket in buckets]}},
    )


async def buckets_of_nobody(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "ADD busy :value", {"NS": ["114", "287"]})


async def a_patients_bucket(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "patient#pat", DAY, "ADD busy :value", {"NS": ["114"]})


async def an_override_of_nobody(clinic: Suite, made: dict[str, Any]) -> None:
    await taken_over(clinic, 108, 200)


async def what_a_killed_repair_left(clinic: Suite, made: dict[str, Any]) -> None:
    await buckets_of_nobody(clinic, made)
    await taken_over(clinic, 114)


async def a_sum_too_high(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", TALLY, "ADD n_booked :value", {"N": "1"})


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


class Between:
    """A client whose n-th scan something comes before, and whose index may know nothing yet."""

    def __init__(
        self,
        client: Any,
        before: dict[int, Callable[[], Awaitable[None]]] | None = None,
        *,
        index_lags: bool = False,
    ) -> None:
        self._client = client
        self._before = before or {}
        self._index_lags = index_lags
        self._scans = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def scan(self, **arguments: Any) -> Any:
        self._scans += 1
        if self._scans in self._before:
            await self._before[self._scans]()
        return await self._client.scan(**arguments)

    async def query(self, **arguments: Any) -> Any:
        if self._index_lags and "IndexName" in arguments:
            return {"Items": []}
        return await self._client.query(**arguments)


def suspected() -> Report:
    """What an audit finds where the index lags for so long that it is mistaken."""
    return Report(spots={THE_DAY: []})


async def test_time_that_is_held_is_not_freed_whatever_the_index_knows(clinic: Suite) -> None:
    await clinic.set_hours()
    await book(clinic, "09:00", "pat")
    await buckets_of_nobody(clinic, {})
    client = Between(clinic.dynamodb, index_lags=True)
    done = await repairing(clinic, client).run(suspected())
    assert done == [Repair(DOCTOR, "frees 09:30–09:35, 23:55–24:00", is_done=True)]
    assert (await audited(clinic)).breaches == []


async def booking(clinic: Suite, patient: str, time: str) -> int:
    body = {"doctor_id": "doc", "starts_at": f"2026-03-03T{time}:00Z"}
    headers = {**clinic.patient(patient), "Idempotency-Key": f"again-{patient}"}
    answer = await clinic.client.post("/v1/appointments", json=body, headers=headers)
    return answer.status


@pytest.mark.parametrize("scan", [1, 2])
async def test_nobody_can_take_what_is_about_to_be_freed(clinic: Suite, scan: int) -> None:
    await clinic.set_hours()
    made = await book(clinic, "09:00", "pat")
    answers: list[int] = []

    async def cancelled_and_booked() -> None:
        await act(clinic, made, "cancel")
        answers.append(await booking(clinic, "next", "09:00"))

    client = Between(clinic.dynamodb, {scan: cancelled_and_booked}, index_lags=True)
    await repairing(clinic, client).run(suspected())
    assert answers == [409]
    assert await booking(clinic, "later", "09:00") == 201
    assert (await audited(clinic)).breaches == []


async def test_an_offer_that_is_accepted_between_the_scans_keeps_its_time(clinic: Suite) -> None:
    await clinic.set_hours()
    body = {"doctor_id": "doc", "from": "2026-03-03", "to": "2026-03-03"}
    headers = {**clinic.patient(), "Idempotency-Key": "waits"}
    answer = await clinic.client.post("/v1/waitlist", json=body, headers=headers)
    entry = await answer.json()
    await clinic.fill()
    place = ("waitlist#doc", f"{entry['id'].removeprefix('pat')}#pat")
    # Out of its queue, so that no look sees the offer.
    await delete(clinic, *place)

    async def accepted() -> None:
        path = f"/v1/waitlist/{entry['id']}/accept"
        headers = {**clinic.patient(), "Idempotency-Key": "accepts"}
        answer = await clinic.client.post(path, headers=headers)
        assert answer.status in (200, 201), await answer.text()

    await repairing(clinic, Between(clinic.dynamodb, {2: accepted})).run(suspected())
    assert (await audited(clinic)).breaches == []


OVER = range(108, 114)


async def overriding(clinic: Suite, model: items.Item, patient: str) -> items.Item:
    """An override of 09:00 as one is written, by the shape of an appointment of that time."""
    claims = {"doctor": {"2026-03-03": list(OVER)}, "patient": {}}
    item = {**model, "user_id": {"S": patient}, "override": {"BOOL": True}}
    item["claims"] = {"S": json.dumps(claims)}
    await put(clinic, item)
    await taken_over(clinic, *OVER)
    return item


async def ended(clinic: Suite, item: items.Item) -> None:
    claims = {"S": json.dumps({"doctor": {}, "patient": {}})}
    more = {"status": {"S": "cancelled"}, "version": {"N": "2"}, "claims": claims}
    await put(clinic, {**item, **more})
    await clinic.dynamodb.update_item(
        TableName=clinic.table,
        Key=items.key("doctor#doc", DAY),
        UpdateExpression="REMOVE #over",
        ExpressionAttributeNames={"#over": "over"},
    )


async def test_overrides_that_come_and_go_unseen_keep_their_time(clinic: Suite) -> None:
    await clinic.set_hours()
    model = await stored(clinic, *keys(await book(clinic, "09:00", "under")))
    seen = [await overriding(clinic, model, "a")]

    class Hurried(Between):
        """No scan meets an override, and whenever a day is read there is one."""

        async def scan(self, **arguments: Any) -> Any:
            await ended(clinic, seen[-1])
            answer = await super().scan(**arguments)
            seen.append(await overriding(clinic, model, f"b{self._scans}"))
            return answer

    await repairing(clinic, Hurried(clinic.dynamodb, index_lags=True)).run(suspected())
    state = items.state_of(await stored(clinic, "doctor#doc", DAY))
    assert state.over == sum(1 << bucket for bucket in OVER)
    await ended(clinic, seen[-1])
    await taken_over(clinic, 108)
    [freed] = [one for one in await repaired(clinic) if one.where == DOCTOR]
    assert freed == Repair(DOCTOR, "frees 09:00–09:05", is_done=True)


async def test_a_finding_that_is_out_of_date_frees_nothing(clinic: Suite) -> None:
    await clinic.set_hours()
    await update(clinic, "doctor#doc", DAY, "ADD busy :value", {"NS": ["108"]})
    report = await audited(clinic)
    await update(clinic, "doctor#doc", DAY, "DELETE busy :value", {"NS": ["108"]})
    await book(clinic, "09:00", "pat")
    assert await repairing(clinic).run(report) == []
    assert (await audited(clinic)).breaches == []


async def test_a_tally_that_changes_meanwhile_is_left_for_another_time(clinic: Suite) -> None:
    await clinic.set_hours()
    await book(clinic, "09:00", "pat")
    await a_sum_too_high(clinic, {})
    report = await audited(clinic)

    async def booked() -> None:
        await book(clinic, "09:30", "meanwhile")

    left = await repairing(clinic, Between(clinic.dynamodb, {2: booked})).run(report)
    assert left == [Repair(SUMS, "not repaired, since it changed: try again", is_done=False)]
    assert [repair.is_done for repair in await repaired(clinic)] == [True]
    assert (await audited(clinic)).breaches == []


async def test_a_tally_is_only_set_as_it_was_read(clinic: Suite) -> None:
    await clinic.set_hours()
    await book(clinic, "09:00", "pat")
    await a_sum_too_high(clinic, {})
    report = await audited(clinic)

    async def changed() -> None:
        await a_sum_too_high(clinic, {})

    # After it was read, and with no appointment: somebody else mends or breaks it by hand.
    left = await repairing(clinic, Between(clinic.dynamodb, {2: changed})).run(report)
    assert left == [Repair(SUMS, "not repaired, since it changed: try again", is_done=False)]
    assert (await stored(clinic, "doctor#doc", TALLY))["n_booked"] == {"N": "3"}


async def test_something_unreadable_of_nobody_knows_whom_keeps_everything_as_it_is(
    clinic: Suite,
) -> None:
    await clinic.set_hours()
    await book(clinic, "09:00", "pat")
    await buckets_of_nobody(clinic, {})
    await put(clinic, {**items.key("patient#x", "waitlist#y"), "status": {"S": "offered"}})
    broken = await whole(clinic)
    what = "not repaired, since something that may hold its time can't be read"
    assert await repaired(clinic) == [Repair(DOCTOR, what, is_done=False)]
    assert await whole(clinic) == broken


async def test_one_repair_at_a_time(clinic: Suite) -> None:
    await clinic.set_hours()
    await buckets_of_nobody(clinic, {})
    report = await audited(clinic)
    refused: list[str] = []

    async def another() -> None:
        with pytest.raises(RepairBusyError) as caught:
            await repairing(clinic).run(report)
        refused.append(str(caught.value))

    await repairing(clinic, Between(clinic.dynamodb, {2: another})).run(report)
    assert refused == ["another repair is under way, or was killed within the hour"]
    assert (await audited(clinic)).breaches == []


async def test_who_has_lost_the_lease_writes_nothing(clinic: Suite) -> None:
    await clinic.set_hours()
    await buckets_of_nobody(clinic, {})
    report = await audited(clinic)

    async def lost() -> None:
        await update(clinic, "leases#", "repair", "SET held_by = :value", {"S": "another"})

    with pytest.raises(RepairBusyError):
        await repairing(clinic, Between(clinic.dynamodb, {2: lost})).run(report)
    assert items.state_of(await stored(clinic, "doctor#doc", DAY)).busy == 1 << 114 | 1 << 287


async def test_bookings_beside_repairs_lose_nothing(clinic: Suite) -> None:
    await clinic.set_hours()
    done = asyncio.Event()
    kept: list[dict[str, Any]] = []
    answers: Counter[int] = Counter()

    async def work(patient: str) -> None:
        number = 0
        while not done.is_set():
            number += 1
            time = f"{9 + number % 3:02}:{number % 2 * 30:02}"
            body = {"doctor_id": "doc", "starts_at": f"2026-03-03T{time}:00Z"}
            headers = {**clinic.patient(patient), "Idempotency-Key": f"{patient}-{number}"}
            answer = await clinic.client.post("/v1/appointments", json=body, headers=headers)
            answers[answer.status] += 1
            if answer.status == 201:
                made = await answer.json()
                kept.append(made if number % 4 == 0 else await act(clinic, made, "cancel"))

    async def damage() -> None:
        """Buckets of the day's whole hours that are free become nobody's, and a sum is wrong."""
        state = items.state_of(await stored(clinic, "doctor#doc", DAY))
        free = next((n for n in range(108, 144) if not state.taken >> n & 1), None)
        if free is not None:
            try:
                await clinic.dynamodb.update_item(
                    TableName=clinic.table,
                    Key=items.key("doctor#doc", DAY),
                    UpdateExpression="ADD busy :value",
                    ConditionExpression="NOT contains(busy, :bucket)",
                    ExpressionAttributeValues={
                        ":value": {"NS": [str(free)]},
                        ":bucket": {"N": str(free)},
                    },
                )
            except clinic.dynamodb.exceptions.ConditionalCheckFailedException:
                return

    await book(clinic, "11:30", "first")
    workers = [asyncio.create_task(work(f"p{n}")) for n in range(3)]
    freed = 0
    for _ in range(12):
        await damage()
        freed += sum(repair.is_done for repair in await repairing(clinic).run(suspected()))
    done.set()
    await asyncio.gather(*workers)
    await repaired(clinic)
    assert (await audited(clinic)).breaches == []
    assert freed
    assert set(answers) <= {201, 409}
    for made in kept:
        answer = await clinic.client.get(f"/v1/appointments/{made['id']}", headers=clinic.admin())
        assert (await answer.json())["status"] == made["status"]


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


def test_apply_is_said_of_repairs_only() -> None:
    result = run_audit("--apply")
    assert result.returncode == 2
    assert result.stderr.endswith("--apply goes with --repair\n")
