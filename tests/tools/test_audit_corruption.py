"""Every kind of corruption, planted in a real table, is named with what and where."""

import json
import re
from collections.abc import Awaitable, Callable
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
    change,
    delete,
    keys,
    put,
    stored,
    update,
)
from tests.tools.clinics import clinic_fixture  # noqa: F401 - the fixture `clinic`

Plant = Callable[[Suite, dict[str, Any]], Awaitable[None]]


async def a_second_one_of_the_doctor(clinic: Suite, made: dict[str, Any]) -> None:
    twin = await stored(clinic, *keys(made))
    await put(clinic, {**twin, "user_id": {"S": "other"}})


async def a_second_one_of_the_patient(clinic: Suite, made: dict[str, Any]) -> None:
    twin = await stored(clinic, *keys(made))
    key = made["id"][-26:]
    await put(clinic, {**twin, "appointment_id": {"S": key[::-1]}, "doctor_id": {"S": "another"}})


async def a_bucket_given_back(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "DELETE busy :value", {"NS": ["108", "109"]})


async def a_patients_day_lost(clinic: Suite, made: dict[str, Any]) -> None:
    await delete(clinic, "patient#pat", DAY)


async def a_bucket_of_nobody(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "ADD busy :value", {"NS": ["114", "287"]})


async def a_bucket_of_an_unknown_patient(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "patient#ghost", DAY, "ADD busy :value", {"NS": ["0"]})


async def an_override_of_nobody(clinic: Suite, made: dict[str, Any]) -> None:
    expression = "ADD #over :value"
    await clinic.dynamodb.update_item(
        TableName=clinic.table,
        Key=items.key("doctor#doc", DAY),
        UpdateExpression=expression,
        ExpressionAttributeNames={"#over": "over"},
        ExpressionAttributeValues={":value": {"NS": ["108"]}},
    )


async def a_status_changed_by_hand(clinic: Suite, made: dict[str, Any]) -> None:
    await change(clinic, made, status={"S": "cancelled"})


async def a_sum_too_high(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", TALLY, "ADD n_booked :value", {"N": "1"})


async def a_tally_lost(clinic: Suite, made: dict[str, Any]) -> None:
    await delete(clinic, "doctor#doc", TALLY)


async def a_tally_of_nothing(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", "tally#2026-03-09", "ADD n_no_show :value", {"N": "2"})


async def a_negative_sum(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", TALLY, "ADD n_cancelled :value", {"N": "-1"})


async def an_appointment_lost(clinic: Suite, made: dict[str, Any]) -> None:
    await delete(clinic, *keys(made))


async def a_move_undone(clinic: Suite, made: dict[str, Any]) -> None:
    """As if an older version had been restored under a newer stored answer."""
    before = await stored(clinic, *keys(made))
    await act(clinic, made, "reschedule", starts_at="2026-03-03T09:30:00Z")
    await put(clinic, before)


async def history_cut(clinic: Suite, made: dict[str, Any]) -> None:
    await change(clinic, made, history={"S": "[]"})


async def a_version_without_history(clinic: Suite, made: dict[str, Any]) -> None:
    await change(clinic, made, version={"N": "2"})


async def history_of_another_time(clinic: Suite, made: dict[str, Any]) -> None:
    item = await stored(clinic, *keys(made))
    rows = json.loads(item["history"]["S"])
    rows[0][5] = "2026-03-03T09:30:00Z"
    await change(clinic, made, history={"S": json.dumps(rows)})


async def claims_that_leave_out_the_end(clinic: Suite, made: dict[str, Any]) -> None:
    """The calendar agrees with the claims, so that only the claims are wrong."""
    claims = {kind: {"2026-03-03": list(range(108, 113))} for kind in ("doctor", "patient")}
    await change(clinic, made, claims={"S": json.dumps(claims)})
    for partition in ("doctor#doc", "patient#pat"):
        await update(clinic, partition, DAY, "DELETE busy :value", {"NS": ["113"]})


async def a_status_unknown(clinic: Suite, made: dict[str, Any]) -> None:
    await change(clinic, made, status={"S": "lost"})


async def a_calendar_of_text(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", DAY, "SET busy = :value", {"S": "all"})


async def a_tally_of_text(clinic: Suite, made: dict[str, Any]) -> None:
    await update(clinic, "doctor#doc", TALLY, "SET n_booked = :value", {"S": "one"})


async def a_stored_answer_about_nothing(clinic: Suite, made: dict[str, Any]) -> None:
    record = {"request_hash": {"S": "x"}, "answer_status": {"N": "201"}, "body": {"S": "{}"}}
    more = {"answer_version": {"N": "1"}, "expires_at": {"N": "9"}, "ttl": {"N": "9"}}
    await put(clinic, {**items.key("caller#pat", "key#1"), **record, **more})


APPOINTMENT = "appointment pat[a-z0-9]{26}"
DOCTOR, PATIENT = "doctor doc, 2026-03-03 UTC", "patient pat, 2026-03-03 UTC"
SUMS = "tally of doctor doc, 2026-03-03"
TAKEN = "09:00–09:30 is taken by nothing that keeps its time"


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (
            a_second_one_of_the_doctor,
            [
                (1, DOCTOR, f"09:00–09:30 is held by appointment other.* and {APPOINTMENT}"),
                (2, "patient other, 2026-03-03 UTC", "appointment other.* claims 09:00–09:30.*"),
                (3, SUMS, ".*; n_booked is 1, counted 2"),
            ],
        ),
        (
            a_second_one_of_the_patient,
            [
                (1, PATIENT, f"09:00–09:30 is held by {APPOINTMENT} and {APPOINTMENT}"),
                (2, "doctor another, 2026-03-03 UTC", f"{APPOINTMENT} claims 09:00–09:30.*"),
                (3, "tally of doctor another, 2026-03-03", ".*n_booked is 0, counted 1"),
            ],
        ),
        (
            a_bucket_given_back,
            [(2, DOCTOR, f"{APPOINTMENT} claims 09:00–09:10, which isn't taken")],
        ),
        (
            a_patients_day_lost,
            [(2, PATIENT, f"{APPOINTMENT} claims 09:00–09:30, which isn't taken")],
        ),
        (
            a_bucket_of_nobody,
            [(2, DOCTOR, "09:30–09:35, 23:55–24:00 is taken by nothing that keeps its time")],
        ),
        (a_bucket_of_an_unknown_patient, [(2, "patient ghost, .*", "00:00–00:05 is taken by .*")]),
        (an_override_of_nobody, [(2, DOCTOR, "09:00–09:05 is taken by nothing .*")]),
        (
            a_status_changed_by_hand,
            [
                (2, DOCTOR, TAKEN),
                (2, PATIENT, TAKEN),
                (3, SUMS, ".*n_booked is 1, counted 0; n_cancelled is 0, counted 1"),
                (4, APPOINTMENT, "it is cancelled, its history ends with booked"),
            ],
        ),
        (a_sum_too_high, [(3, SUMS, "n_booked is 2, counted 1")]),
        (a_tally_lost, [(3, SUMS, "booked_minutes is 0, counted 30; .*n_booked is 0, counted 1")]),
        (
            a_tally_of_nothing,
            [(3, "tally of doctor doc, 2026-03-09", "n_no_show is 2, counted 0")],
        ),
        (a_negative_sum, [(3, SUMS, "n_cancelled is -1, counted 0")]),
        (
            an_appointment_lost,
            [
                (2, DOCTOR, TAKEN),
                (2, PATIENT, TAKEN),
                (3, SUMS, "booked_minutes is 30, counted 0; .*"),
                (4, APPOINTMENT, "a stored answer 201 tells of it, and it is not there"),
            ],
        ),
        (
            a_move_undone,
            [
                (2, DOCTOR, "09:30–10:00 is taken by nothing that keeps its time"),
                (2, DOCTOR, f"{APPOINTMENT} claims 09:00–09:30, which isn't taken"),
                (2, PATIENT, "09:30–10:00 is taken by nothing that keeps its time"),
                (2, PATIENT, f"{APPOINTMENT} claims 09:00–09:30, which isn't taken"),
                (3, SUMS, "lead_minutes is 1530, counted 1500"),
                (4, APPOINTMENT, "a stored answer 200 .* version 2, and it is in version 1"),
            ],
        ),
        (
            history_cut,
            [
                (4, APPOINTMENT, ".* with version 1, of which history doesn't tell"),
                (4, APPOINTMENT, "version 1 with a history of 0 lines"),
            ],
        ),
        (
            a_version_without_history,
            [(4, APPOINTMENT, "version 2 with a history of 1 lines")],
        ),
        (
            history_of_another_time,
            [
                (4, APPOINTMENT, "a stored answer 201 .*09:00:00Z, its history says .*09:30:00Z"),
                (4, APPOINTMENT, "it starts at .*09:00:00Z, its history ends with .*09:30:00Z"),
            ],
        ),
        (
            claims_that_leave_out_the_end,
            [
                (1, APPOINTMENT, "it claims nothing of its doctor for 2026-03-03 09:25–09:30 UTC"),
                (1, APPOINTMENT, "it claims nothing of its patient for 2026-03-03 09:25–09:30 UTC"),
            ],
        ),
        (
            a_status_unknown,
            [
                (2, DOCTOR, TAKEN),
                (2, PATIENT, TAKEN),
                (3, SUMS, "booked_minutes is 30, counted 0; .*"),
                (4, "item pat / .*", "it can't be read: ValueError: 'lost' is not a valid Status"),
            ],
        ),
        (
            a_calendar_of_text,
            [(2, f"item doctor#doc / {DAY}", "it can't be read: KeyError: 'NS'")],
        ),
        (
            a_tally_of_text,
            [(3, f"item doctor#doc / {TALLY}", "it can't be read: KeyError: 'N'")],
        ),
        (
            a_stored_answer_about_nothing,
            [(4, "item caller#pat / key#1", "it can't be read: KeyError: 'id'")],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
async def test_every_kind_of_corruption_is_named(
    clinic: Suite, plant: Plant, found: list[tuple[int, str, str]]
) -> None:
    await clinic.set_hours()
    made = await book(clinic, "09:00", "pat")
    await book(clinic, "11:00", "bystander", day=4)
    assert (await audited(clinic)).breaches == []
    await plant(clinic, made)
    breaches = sorted((await audited(clinic)).breaches)
    assert len(breaches) == len(found), breaches
    for breach, (invariant, where, what) in zip(breaches, found, strict=True):
        assert breach.invariant == invariant
        assert re.fullmatch(where, breach.where), breach
        assert re.fullmatch(what, breach.what), breach


async def test_an_override_may_lie_over_another_and_outlive_it(clinic: Suite) -> None:
    await clinic.set_hours()
    under = await book(clinic, "09:00", "pat")
    over = await book(clinic, "09:30", "urgent")
    # The second as an override would be recorded that was put over the first.
    await act(clinic, over, "reschedule", starts_at="2026-03-03T10:00:00Z")
    item = await stored(clinic, *keys(over))
    claims = json.loads(item["claims"]["S"])
    claims["doctor"]["2026-03-03"] += range(108, 114)
    await change(clinic, over, override={"BOOL": True}, claims={"S": json.dumps(claims)})
    await an_override_of_nobody(clinic, over)
    await clinic.dynamodb.update_item(
        TableName=clinic.table,
        Key=items.key("doctor#doc", DAY),
        UpdateExpression="ADD #over :value",
        ExpressionAttributeNames={"#over": "over"},
        ExpressionAttributeValues={":value": {"NS": [str(n) for n in range(108, 114)]}},
    )
    assert (await audited(clinic)).breaches == []
    await act(clinic, under, "cancel")
    assert (await audited(clinic)).breaches == []
    await update(clinic, "doctor#doc", DAY, "ADD busy :value", {"NS": ["108"]})
    [breach] = (await audited(clinic)).breaches
    assert (breach.invariant, breach.where) == (2, DOCTOR)
    assert breach.what.startswith("09:00–09:05 is taken")
