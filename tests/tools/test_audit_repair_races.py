"""./dev audit --repair beside a system at work takes nobody's time."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from appointments_service.store_dynamodb import items
from tests.appointments.conftest import Suite
from tests.tools.audits import (
    DAY,
    TALLY,
    act,
    audited,
    book,
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
    Between,
    a_sum_too_high,
    buckets_of_nobody,
    repaired,
    repairing,
    suspected,
    taken_over,
    whole,
)
from tools.audit.repair import Repair, RepairBusyError


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
        """A free bucket of the day becomes nobody's."""
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
