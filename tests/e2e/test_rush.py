"""Many callers at once at one thing that only one can have."""

import asyncio
from collections import Counter

import pytest

from tests.e2e.client import Client
from tests.e2e.clinic import Clinic, Person, at, today
from tests.e2e.conftest import People
from tests.e2e.running import RunningSuite

pytestmark = pytest.mark.usefixtures("no_failures")

CALLERS = 200


async def test_of_two_hundred_patients_at_one_time_one_gets_it(
    client: Client, clinic: Clinic, people: People, suite: RunningSuite
) -> None:
    doctor = await clinic.doctor(people.admin)
    patients: list[Person] = await asyncio.gather(*(clinic.patient() for _ in range(CALLERS)))
    body = {"doctor_id": doctor.id, "starts_at": at(1, 100)}

    async def book(patient: Person) -> tuple[Person, int, str | None]:
        answer = await client.call("POST", "/v1/appointments", body, token=patient.token)
        return patient, answer.status, answer.code

    answers = await asyncio.gather(*map(book, patients))
    assert Counter(answer[1:] for answer in answers) == {
        (201, None): 1,
        (409, "slot_taken"): CALLERS - 1,
    }
    (winner,) = (patient for patient, status, _ in answers if status == 201)
    schedule = await client.ok("GET", f"/v1/appointments?from={today()}", token=doctor.token)
    assert [item["patient_id"] for item in schedule["items"]] == [winner.id]
    suite.audit()


async def test_of_one_key_sent_many_times_at_once_there_is_one_answer(
    client: Client, clinic: Clinic, people: People
) -> None:
    patient = await clinic.patient()
    body = {"doctor_id": people.doctor.id, "starts_at": at(4, 7)}
    key = [("Idempotency-Key", "once-and-only-once")]
    answers = await asyncio.gather(
        *(
            client.call("POST", "/v1/appointments", body, token=patient.token, headers=key)
            for _ in range(30)
        )
    )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
    assert Counter(replayed) == {None: 1, "true": 29}
    mine = await client.ok("GET", "/v1/appointments", token=patient.token)
    assert len(mine["items"]) == 1


async def test_of_one_refresh_token_spent_by_many_at_once_there_is_one_successor(
    client: Client, clinic: Clinic
) -> None:
    patient = await clinic.patient()
    body = {"refresh_token": patient.refresh_token}
    answers = await asyncio.gather(
        *(client.call("POST", "/v1/auth/refresh", body) for _ in range(30))
    )
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["refresh_token"] for answer in answers}) == 1
