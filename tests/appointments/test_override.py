"""Overrides: the staff books over a full calendar, once over each time."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.faults import WRITE, FaultyClient, conflict
from tests.appointments.test_metrics import counts
from tests.tools.audits import audited

NINE = "2026-03-03T09:00:00Z"


async def override(
    suite: Suite,
    starts_at: str = NINE,
    *,
    patient: str = "urgent",
    who: dict[str, str] | None = None,
    **body: Any,
) -> ClientResponse:
    suite.users.add_patient(patient, patient.title())
    wanted = {
        "doctor_id": "doc",
        "starts_at": starts_at,
        "patient_id": patient,
        "override": True,
        "reason": "an emergency",
        **body,
    }
    return await suite.client.post("/v1/appointments", json=wanted, headers=who or suite.admin())


async def made(suite: Suite, starts_at: str = NINE, **more: Any) -> Any:
    answer = await override(suite, starts_at, **more)
    assert answer.status == 201, await answer.text()
    return await answer.json()


async def code_of(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, (await answer.json())["code"]


async def act(suite: Suite, one: Any, verb: str, **body: Any) -> ClientResponse:
    path = f"/v1/appointments/{one['id']}/{verb}"
    return await suite.client.post(path, json=body, headers=suite.admin())


async def test_a_taken_time_is_taken_once_more_and_no_more(suite: Suite) -> None:
    await suite.set_hours()
    await suite.booked(NINE)
    over = await made(suite)
    assert (over["override"], over["starts_at"]) == (True, NINE)
    assert await code_of(await override(suite, patient="second")) == (409, "slot_taken")
    assert await code_of(await suite.book(NINE, patient="other")) == (409, "slot_taken")
    history = await suite.client.get(
        f"/v1/appointments/{over['id']}/history", headers=suite.admin()
    )
    [line] = (await history.json())["items"]
    assert (line["note"], line["actor_id"]) == ("override: an emergency", "boss")
    assert await counts(suite, "appointment_changes_total") == {"booked": 1, "overridden": 1}
    assert (await audited(suite)).breaches == []


async def test_a_free_time_is_taken_too_and_only_once(suite: Suite) -> None:
    await suite.set_hours()
    over = await made(suite)
    assert NINE not in await suite.slots("2026-03-03", "2026-03-03")
    assert await code_of(await suite.book(NINE, patient="other")) == (409, "slot_taken")
    assert await code_of(await override(suite, patient="second")) == (409, "slot_taken")
    assert (await audited(suite)).breaches == []
    assert (await act(suite, over, "cancel")).status == 200
    await suite.booked(NINE, patient="other")
    assert (await audited(suite)).breaches == []


async def test_it_lies_over_the_patient_s_own_appointments_as_well(suite: Suite) -> None:
    await suite.set_hours()
    await suite.set_hours("doc2")
    await suite.booked(NINE, doctor="doc2", patient="urgent")
    await made(suite)
    again = await override(suite, doctor_id="doc2")
    assert await code_of(again) == (409, "patient_busy")
    assert (await audited(suite)).breaches == []


@pytest.mark.parametrize(
    ("starts_at", "lifted"),
    [
        ("2026-03-02T08:05:00Z", "too_soon"),
        ("2027-03-03T09:00:00Z", "too_far"),
        ("2026-03-03T20:00:00Z", "outside_hours"),
        ("2026-03-03T09:05:00Z", "misaligned"),
    ],
)
async def test_what_the_hours_do_not_allow(suite: Suite, starts_at: str, lifted: str) -> None:
    await suite.set_hours(min_notice_minutes=60, horizon_days=10, buffer_after_minutes=10)
    assert await code_of(await suite.book(starts_at)) == (422, lifted)
    await made(suite, starts_at)
    assert (await audited(suite)).breaches == []


@pytest.mark.parametrize(
    ("starts_at", "code"),
    [
        ("2026-03-02T07:55:00Z", "too_soon"),
        ("2028-03-02T08:00:00Z", "too_far"),
        ("2026-03-03T09:03:00Z", "misaligned"),
        ("2026-03-03T09:05:00.5Z", "misaligned"),
    ],
)
async def test_what_no_override_lifts(suite: Suite, starts_at: str, code: str) -> None:
    await suite.set_hours()
    assert await code_of(await override(suite, starts_at)) == (422, code)


async def test_who_may_and_what_it_needs(suite: Suite) -> None:
    await suite.set_hours()
    suite.users.add_doctor("idle")
    assert (await override(suite, who=suite.doctor())).status == 403
    assert (await override(suite, who=suite.patient("urgent"))).status == 403
    for reason in (None, "", " \n"):
        assert await code_of(await override(suite, reason=reason)) == (422, "validation_failed")
    unknown = await override(suite, doctor_id="nobody")
    assert await code_of(unknown) == (422, "unknown_doctor")
    assert await code_of(await override(suite, patient_id="ghost")) == (422, "unknown_patient")
    assert await code_of(await override(suite, doctor_id="idle")) == (422, "doctor_unavailable")
    plain = await override(suite, override=False)
    assert (plain.status, (await plain.json())["override"]) == (201, False)


async def test_whoever_ends_first_gives_back_only_its_own(suite: Suite) -> None:
    await suite.set_hours()
    under = await suite.booked(NINE)
    over = await made(suite)
    assert (await act(suite, under, "cancel")).status == 200
    assert (await audited(suite)).breaches == []
    assert NINE not in await suite.slots("2026-03-03", "2026-03-03")
    assert (await act(suite, over, "cancel")).status == 200
    assert NINE in await suite.slots("2026-03-03", "2026-03-03")
    under, over = await suite.booked(NINE), await made(suite)
    assert (await act(suite, over, "cancel")).status == 200
    assert await code_of(await suite.book(NINE, patient="other")) == (409, "slot_taken")
    assert (await audited(suite)).breaches == []


async def test_it_lives_as_any_does(suite: Suite) -> None:
    await suite.set_hours()
    await suite.booked(NINE)
    over = await made(suite)
    for verb, status in (("check-in", "checked_in"), ("complete", "completed")):
        answer = await act(suite, over, verb)
        changed = await answer.json()
        assert (changed["status"], changed["override"]) == (status, True)
    assert await code_of(await override(suite, patient="second")) == (409, "slot_taken")
    assert (await audited(suite)).breaches == []


async def test_moved_it_takes_its_new_time_as_any_does(suite: Suite) -> None:
    await suite.set_hours()
    await suite.booked(NINE)
    over = await made(suite, "2026-03-03T09:15:00Z")
    # Over half of the time it has itself, which is no obstacle, and none of another's.
    answer = await act(suite, over, "reschedule", starts_at="2026-03-03T09:30:00Z")
    moved = await answer.json()
    assert (answer.status, moved["override"]) == (200, False)
    assert (await audited(suite)).breaches == []
    refused = await act(suite, over, "reschedule", starts_at=NINE)
    assert await code_of(refused) == (409, "slot_taken")
    await made(suite, "2026-03-03T09:30:00Z", patient="second")
    onwards = await act(suite, over, "reschedule", starts_at="2026-03-03T11:30:00Z")
    assert onwards.status == 200
    assert (await audited(suite)).breaches == []


async def test_it_is_one_call_and_survives_conflicts(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    await suite.booked(NINE)
    faulty.calls.clear()
    over = await made(suite)
    assert faulty.calls == [WRITE]
    faulty.fail(WRITE, before=conflict(WRITE, 5))
    assert await code_of(await override(suite, patient="second")) == (409, "slot_taken")
    assert (await act(suite, over, "cancel")).status == 200
    faulty.fail(WRITE, before=conflict(WRITE, 5))
    await made(suite)


async def test_bookings_overrides_and_cancellations_at_once(suite: Suite) -> None:
    await suite.set_hours()
    first = await suite.booked(NINE, patient="first")
    answers = await asyncio.gather(
        act(suite, first, "cancel"),
        *(override(suite, patient=f"o{n}") for n in range(8)),
        *(suite.book(NINE, patient=f"p{n}") for n in range(8)),
    )
    cancelled, over, regular = answers[0], answers[1:9], answers[9:]
    assert cancelled.status == 200
    assert sorted(answer.status for answer in over) == [201] + [409] * 7
    assert [answer.status for answer in regular].count(201) <= 1
    assert {answer.status for answer in regular} <= {201, 409}
    assert (await audited(suite)).breaches == []


async def test_the_first_answer_again(suite: Suite) -> None:
    await suite.set_hours()
    who = {**suite.admin(), "Idempotency-Key": "one"}
    first, again = await override(suite, who=who), await override(suite, who=who)
    assert (first.status, again.status) == (201, 201)
    assert await first.read() == await again.read()
    assert again.headers["Idempotency-Replayed"] == "true"
