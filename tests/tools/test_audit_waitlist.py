"""Offers of the waiting list hold time as appointments do: what is wrong with them is named."""

import json
import re
from collections.abc import Awaitable, Callable

import pytest

from appointments_service.store_dynamodb import items
from tests.appointments.conftest import Suite
from tests.tools.audits import DAY, audited, book, delete, put, stored, update
from tests.tools.clinics import clinic_fixture  # noqa: F401 - the fixture `clinic`

Plant = Callable[[Suite, items.Item], Awaitable[None]]

DOCTOR = "doctor doc, 2026-03-03 UTC"
QUEUE = "queue of doctor doc"
ID = "pat[a-z0-9]{26}"
ENTRY = f"waiting entry {ID}"
OFFER = f"offer to {ID}"


async def offered(clinic: Suite) -> items.Item:
    """The item of an entry that is offered 09:00 to 09:30."""
    body = {"doctor_id": "doc", "from": "2026-03-03", "to": "2026-03-03"}
    headers = {**clinic.patient(), "Idempotency-Key": "waits"}
    answer = await clinic.client.post("/v1/waitlist", json=body, headers=headers)
    assert answer.status == 201, await answer.text()
    await clinic.fill()
    key = (await answer.json())["id"].removeprefix("pat")
    item = await stored(clinic, "patient#pat", f"waitlist#{key}")
    assert item["status"]["S"] == "offered"
    return item


async def lost(clinic: Suite, item: items.Item) -> None:
    await delete(clinic, item["user_id"]["S"], item["appointment_id"]["S"])


async def its_time_given_back(clinic: Suite, item: items.Item) -> None:
    await update(clinic, "doctor#doc", DAY, "DELETE busy :value", {"NS": ["108", "109"]})


async def its_time_booked(clinic: Suite, item: items.Item) -> None:
    busy = {"NS": [str(bucket) for bucket in range(108, 114)]}
    await update(clinic, "doctor#doc", DAY, "DELETE busy :value", busy)
    await book(clinic, "09:00", "other")


async def ended_by_hand(clinic: Suite, item: items.Item) -> None:
    del item["offer"]
    await put(clinic, {**item, "status": {"S": "expired"}})


async def waiting_with_an_offer(clinic: Suite, item: items.Item) -> None:
    await put(clinic, {**item, "status": {"S": "waiting"}})


async def offered_nothing(clinic: Suite, item: items.Item) -> None:
    del item["offer"]
    await put(clinic, item)


async def out_of_the_queue(clinic: Suite, item: items.Item) -> None:
    key = item["appointment_id"]["S"].removeprefix("waitlist#")
    await delete(clinic, "waitlist#doc", f"{key}#pat")


async def out_of_the_count(clinic: Suite, item: items.Item) -> None:
    await update(clinic, "waitlist-doctors#", "doc", "SET waiting = :value", {"N": "0"})


async def claims_that_leave_out_the_end(clinic: Suite, item: items.Item) -> None:
    offer = json.loads(item["offer"]["S"])
    offer["claims"]["2026-03-03"].remove(113)
    await put(clinic, {**item, "offer": {"S": json.dumps(offer)}})
    await update(clinic, "doctor#doc", DAY, "DELETE busy :value", {"NS": ["113"]})


async def unreadable(clinic: Suite, item: items.Item) -> None:
    await put(clinic, {**item, "status": {"S": "lost"}})


TAKEN = "09:00–09:30 is taken by nothing that keeps its time"


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lost, [(2, DOCTOR, TAKEN), (2, QUEUE, f"{ID} has a place in it, and isn't there")]),
        (
            its_time_given_back,
            [(2, DOCTOR, f"{OFFER} claims 09:00–09:10, which isn't taken")],
        ),
        (
            its_time_booked,
            [(1, DOCTOR, f"09:00–09:30 is held by appointment other[a-z0-9]* and {OFFER}")],
        ),
        (
            ended_by_hand,
            [(2, DOCTOR, TAKEN), (2, QUEUE, f"{ID} has a place in it, and is expired")],
        ),
        (waiting_with_an_offer, [(2, ENTRY, "it is waiting and has an offer")]),
        (
            offered_nothing,
            [(2, DOCTOR, TAKEN), (2, ENTRY, "it is offered and has no offer")],
        ),
        (
            out_of_the_queue,
            [(2, ENTRY, "it is offered, and has no place in the queue of doctor doc")],
        ),
        (out_of_the_count, [(2, QUEUE, "0 are said to wait, 1 do")]),
        (
            claims_that_leave_out_the_end,
            [(1, ENTRY, "it claims nothing of its doctor for 2026-03-03 09:25–09:30 UTC")],
        ),
        (
            unreadable,
            [(2, DOCTOR, TAKEN), (2, "item patient#pat / waitlist#.*", "it can't be read: .*")],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
async def test_what_is_wrong_with_an_offer_is_named(
    clinic: Suite, plant: Plant, found: list[tuple[int, str, str]]
) -> None:
    await clinic.set_hours()
    item = await offered(clinic)
    await book(clinic, "11:00", "bystander")
    report = await audited(clinic)
    assert report.breaches == []
    assert report.seen["waiting entries offered"] == 1
    await plant(clinic, item)
    breaches = sorted((await audited(clinic)).breaches)
    assert len(breaches) == len(found), breaches
    for breach, (invariant, where, what) in zip(breaches, found, strict=True):
        assert breach.invariant == invariant
        assert re.fullmatch(where, breach.where), breach
        assert re.fullmatch(what, breach.what), breach


async def test_offers_add_up_in_any_number_of_scans(clinic: Suite) -> None:
    await clinic.set_hours()
    await offered(clinic)
    for kind in ("doctor", "patient"):
        await update(clinic, f"{kind}#nobody", DAY, "ADD busy :value", {"NS": ["1"]})
    once = await audited(clinic)
    often = await audited(clinic, items_a_scan=1)
    assert often.scans > 1
    assert sorted(often.breaches) == sorted(once.breaches)
    assert len(once.breaches) == 2
    assert (often.seen, often.looked_again) == (once.seen, once.looked_again)
