"""Booking, as callers see it."""

import asyncio
from collections import Counter

import pytest

from tests.appointments.conftest import MakeSuite, Suite


async def code_of(answer: object) -> str:
    return (await answer.json())["code"]  # type: ignore[attr-defined,no-any-return]


async def test_a_patient_books_an_open_time(suite: Suite) -> None:
    await suite.set_hours(name="Dr. Ann")
    answer = await suite.book("2026-03-03T10:00:00+01:00", reason="checkup", patient="pat")
    assert answer.status == 201
    made = await answer.json()
    assert made == {
        "id": made["id"],
        "patient_id": "pat",
        "patient_name": "Test Person",
        "doctor_id": "doc",
        "doctor_name": "Dr. Ann",
        "starts_at": "2026-03-03T09:00:00Z",
        "ends_at": "2026-03-03T09:30:00Z",
        "timezone": "UTC",
        "status": "booked",
        "reason": "checkup",
        "version": 1,
        "created_at": "2026-03-02T08:00:00Z",
        "updated_at": "2026-03-02T08:00:00Z",
        "cancelled_by": None,
        "override": False,
        "series_id": None,
    }
    assert answer.headers["ETag"] == '"1"'
    read = await suite.client.get(f"/v1/appointments/{made['id']}", headers=suite.patient())
    assert await read.json() == made
    assert "2026-03-03T09:00:00Z" not in await suite.slots("2026-03-03", "2026-03-03")


async def test_a_taken_time_is_refused_and_every_other_stays_open(suite: Suite) -> None:
    await suite.set_hours()
    await suite.booked("2026-03-03T09:30:00Z")
    answer = await suite.book("2026-03-03T09:30:00Z", patient="other")
    assert (answer.status, await code_of(answer)) == (409, "slot_taken")
    assert await suite.slots("2026-03-03", "2026-03-03") == [
        "2026-03-03T09:00:00Z",
        "2026-03-03T10:00:00Z",
        "2026-03-03T10:30:00Z",
        "2026-03-03T11:00:00Z",
        "2026-03-03T11:30:00Z",
    ]


async def test_a_patient_cannot_be_in_two_places(suite: Suite) -> None:
    await suite.set_hours("doc")
    await suite.set_hours("doc2", slot_minutes=45)
    await suite.booked("2026-03-03T09:30:00Z")
    answer = await suite.book("2026-03-03T09:45:00Z", doctor="doc2")
    assert (answer.status, await code_of(answer)) == (409, "patient_busy")
    open_to_me = await suite.slots("2026-03-03", "2026-03-03", "doc2", **suite.patient())
    open_to_all = await suite.slots("2026-03-03", "2026-03-03", "doc2")
    assert set(open_to_all) - set(open_to_me) == {"2026-03-03T09:00:00Z", "2026-03-03T09:45:00Z"}


async def test_buffers_keep_appointments_apart_for_the_doctor_only(suite: Suite) -> None:
    await suite.set_hours("doc", buffer_before_minutes=10, buffer_after_minutes=20)
    await suite.set_hours("doc2")
    await suite.booked("2026-03-03T10:00:00Z")
    assert await suite.slots("2026-03-03", "2026-03-03") == [
        "2026-03-03T09:00:00Z",
        "2026-03-03T11:00:00Z",
        "2026-03-03T11:30:00Z",
    ]
    await suite.booked("2026-03-03T10:30:00Z", doctor="doc2")


@pytest.mark.parametrize(
    ("starts_at", "code"),
    [
        ("2026-03-02T07:59:59Z", "too_soon"),
        ("0001-01-01T00:00:00Z", "too_soon"),
        ("2026-03-02T09:00:00Z", "too_soon"),
        ("2026-03-13T09:00:00Z", "too_far"),
        ("9999-12-31T23:59:59Z", "too_far"),
        ("2026-03-04T08:30:00Z", "outside_hours"),
        ("2026-03-04T11:45:00Z", "outside_hours"),
        ("2026-03-04T12:00:00Z", "outside_hours"),
        ("2026-03-04T09:10:00Z", "misaligned"),
        ("2026-03-04T09:00:00.000001Z", "misaligned"),
    ],
)
async def test_times_that_the_hours_do_not_allow(suite: Suite, starts_at: str, code: str) -> None:
    await suite.set_hours(min_notice_minutes=120, horizon_days=10)
    answer = await suite.book(starts_at)
    assert (answer.status, await code_of(answer)) == (422, code)
    explained = await suite.client.get(
        "/v1/schedules/doc/explain", params={"starts_at": starts_at}, headers=suite.patient()
    )
    assert (await explained.json())["code"] == code


async def test_who_is_unknown_or_unavailable(suite: Suite) -> None:
    await suite.set_hours("doc")
    suite.users.add_doctor("idle")
    assert await code_of(await suite.book(doctor="nobody")) == "unknown_doctor"
    assert await code_of(await suite.book(doctor="idle")) == "doctor_unavailable"
    suite.users.add_doctor("doc", accepting=False)
    assert await code_of(await suite.book()) == "doctor_unavailable"
    assert await suite.slots("2026-03-03", "2026-03-03") == []
    suite.users.add_doctor("doc")
    await suite.booked()


async def test_doctors_and_staff_book_for_a_patient(suite: Suite) -> None:
    await suite.set_hours("doc")
    suite.users.add_patient("ana", "Ana")
    suite.users.add_patient("nurse", role="doctor")
    body = {"doctor_id": "doc", "starts_at": "2026-03-03T09:00:00Z"}

    async def post(who: dict[str, str], **more: str) -> tuple[int, dict[str, str]]:
        answer = await suite.client.post("/v1/appointments", json={**body, **more}, headers=who)
        return answer.status, await answer.json()

    assert (await post(suite.admin()))[0] == 422
    status, refused = await post(suite.admin(), patient_id="nobody")
    assert (status, refused["code"]) == (422, "unknown_patient")
    assert (await post(suite.admin(), patient_id="nurse"))[1]["code"] == "unknown_patient"
    assert (await post(suite.doctor("another"), patient_id="ana"))[0] == 403
    assert (await post(suite.patient("pat"), patient_id="ana"))[0] == 403
    status, made = await post(suite.doctor("doc"), patient_id="ana")
    assert (status, made["patient_name"]) == (201, "Ana")


async def test_two_hundred_callers_at_one_time(suite: Suite) -> None:
    await suite.set_hours()
    answers = await asyncio.gather(*(suite.book(patient=f"p{n}") for n in range(200)))
    codes = Counter([a.status if a.status == 201 else await code_of(a) for a in answers])
    assert codes == {201: 1, "slot_taken": 199}
    # How many questions it took depends on how fast they were answered; not so how many at a time.
    assert suite.users.most_at_once == 1
    assert len([path for path in suite.users.asked if path == "/v1/doctors/doc"]) < 200


async def test_one_patient_at_two_doctors_at_once(suite: Suite) -> None:
    for n in range(10):
        await suite.set_hours(f"doc{n}")
    answers = await asyncio.gather(*(suite.book(doctor=f"doc{n}") for n in range(10)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 9


async def test_a_change_of_hours_governs_other_instances_at_once(make_suite: MakeSuite) -> None:
    one, other = await make_suite(), await make_suite()
    await one.set_hours()
    assert await other.slots("2026-03-03", "2026-03-03")
    await one.set_hours(weekly={"wed": [{"start": "15:00", "end": "16:00"}]})
    assert await other.slots("2026-03-03", "2026-03-03") == []
    assert await code_of(await other.book("2026-03-03T09:00:00Z")) == "outside_hours"
    await one.set_hours(weekly={"wed": [{"start": "17:00", "end": "18:00"}]})
    assert (await other.book("2026-03-04T17:00:00Z")).status == 201


async def test_users_away_is_an_honest_503(suite: Suite) -> None:
    await suite.set_hours()
    suite.users.away = True
    answer = await suite.book()
    assert (answer.status, await code_of(answer)) == (503, "users_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await suite.client.get("/v1/schedules/doc")).status == 200
    suite.users.away = False
    await suite.booked()


async def test_a_service_token_that_is_refused_is_renewed_at_once(suite: Suite) -> None:
    await suite.set_hours()
    suite.users.add_patient("ana", "Ana")

    async def book_for_ana(hour: str) -> int:
        body = {"doctor_id": "doc", "starts_at": f"2026-03-03T{hour}:00Z", "patient_id": "ana"}
        answer = await suite.client.post("/v1/appointments", json=body, headers=suite.admin())
        return answer.status

    assert await book_for_ana("09:00") == 201
    suite.users.service_token = "after a change of keys"
    assert await book_for_ana("09:30") == 201
