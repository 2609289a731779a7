"""Something is away: what needs it says so and when to come again, and all else goes on."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.e2e.client import Answer, Client, faults
from tests.e2e.clinic import Clinic, Person, at, today
from tests.e2e.conftest import People
from tests.e2e.examples import CONTENT, Desk, make_desk
from tests.e2e.running import RunningSuite, until


@pytest.fixture(autouse=True)
async def whole(suite: RunningSuite) -> AsyncIterator[None]:
    """Each test begins and ends with a suite that is all there."""
    await suite.until_whole()
    yield
    await suite.until_whole()


@pytest.fixture
async def desk(clinic: Clinic, people: People) -> Desk:
    return await make_desk(clinic, people.admin)


async def ask(client: Client, method: str, target: str, token: str, **more: Any) -> Answer:
    answer = await client.send(method, target, token=token, **more)
    assert not faults(answer), faults(answer)
    return answer


def assert_unavailable(answer: Answer, code: str) -> None:
    assert (answer.status, answer.code) == (503, code), answer
    assert int(answer.headers["Retry-After"]) >= 1


def booking(desk: Desk, slot: int) -> dict[str, Any]:
    return {"doctor_id": desk.doctor.id, "starts_at": at(6, slot)}


async def people_go_on(client: Client, clinic: Clinic, patient: Person) -> None:
    await client.ok("GET", "/v1/users/me", token=patient.token)
    await client.ok("PATCH", "/v1/users/me", {"phone": "12345"}, token=patient.token)
    await client.ok("GET", "/v1/doctors")
    await clinic.login(patient.email)


async def need_the_stores(
    client: Client, desk: Desk, key: list[tuple[str, str]]
) -> tuple[Answer, ...]:
    """What can't be done without DynamoDB or S3, asked for at once."""
    token, as_json = desk.patient.token, [("Content-Type", "application/json")]
    body = f'{{"doctor_id": "{desk.doctor.id}", "starts_at": "{at(6, 0)}"}}'.encode()
    days = f"from={today()}&to={today()}"
    return await asyncio.gather(
        ask(client, "POST", "/v1/appointments", token, body=body, headers=[*as_json, *key]),
        ask(client, "GET", f"/v1/appointments/{desk.appointment}", token),
        ask(client, "GET", "/v1/appointments", token),
        ask(client, "GET", f"/v1/schedules/{desk.doctor.id}/slots?{days}", token),
        ask(client, "GET", f"/v1/files/{desk.appointment}/{desk.file}", token),
        ask(client, "GET", f"/v1/files?appointment_id={desk.appointment}", token),
    )


async def test_the_stores_hang_and_go_on(
    client: Client, clinic: Clinic, desk: Desk, suite: RunningSuite
) -> None:
    restarts = suite.restarts()
    key = [("Idempotency-Key", "hang")]
    with suite.stopped("emulator"):
        asked = asyncio.create_task(need_the_stores(client, desk, key))
        await people_go_on(client, clinic, desk.patient)
        answers = await asked
    for answer in answers[:4]:
        assert_unavailable(answer, "store_unavailable")
    for answer in answers[4:]:
        assert answer.status == 503, answer
        assert answer.code in ("store_unavailable", "appointments_unavailable")
    # An error was answered, so it happened wholly or not at all; the same key tells which.
    more: dict[str, Any] = {"token": desk.patient.token, "headers": key}
    made = await client.ok("POST", "/v1/appointments", booking(desk, 0), **more)
    mine = await client.ok("GET", "/v1/appointments", token=desk.patient.token)
    assert made["id"] in [item["id"] for item in mine["items"]]
    assert len(mine["items"]) == 2
    assert {answer.status for answer in await need_the_stores(client, desk, key)} <= {200, 201}
    assert suite.restarts() == restarts
    suite.audit()


async def test_the_stores_end_and_come_back_with_all_that_was_in_them(
    client: Client, clinic: Clinic, desk: Desk, suite: RunningSuite
) -> None:
    restarts = suite.restarts()
    os.kill(suite.process("emulator")["pid"], signal.SIGTERM)
    seen = set()
    key = [("Idempotency-Key", "end")]

    def emulator_is_back() -> bool:
        row = suite.process("emulator")
        return bool(row["restarts"] > restarts["emulator"] and row["state"] == "healthy")

    async with asyncio.timeout(60):
        while not emulator_is_back():
            answers = await need_the_stores(client, desk, key)
            seen |= {answer.status for answer in answers}
            await people_go_on(client, clinic, desk.patient)
    assert 503 in seen
    assert seen <= {200, 201, 503}
    answers = await need_the_stores(client, desk, key)
    assert {answer.status for answer in answers} <= {200, 201}
    created = await clinic.attach(desk.patient, desk.appointment, CONTENT)
    assert created["status"] == "available"
    suite.audit()
    others = {name: n for name, n in suite.restarts().items() if name != "emulator"}
    assert others == {name: n for name, n in restarts.items() if name != "emulator"}


async def go_on_without_users(client: Client, desk: Desk, suite: RunningSuite) -> None:
    """The keys are known to every instance: tokens are good, and what needs no more goes on."""
    token = desk.patient.token
    target = f"/v1/appointments/{desk.appointment}"
    for base in suite.state["instances"]["appointments"]:
        await client.ok("GET", target, token=token, base=base)
    await client.ok("GET", f"{target}/history", token=desk.doctor.token)
    await client.ok("GET", "/v1/appointments", token=token)
    await client.ok("GET", f"/v1/schedules/{desk.doctor.id}")
    await client.ok("GET", f"/v1/files?appointment_id={desk.appointment}", token=token)


async def book(client: Client, desk: Desk, slot: int) -> Answer:
    body = json.dumps(booking(desk, slot)).encode()
    headers = [("Content-Type", "application/json")]
    token = desk.patient.token
    return await ask(client, "POST", "/v1/appointments", token, body=body, headers=headers)


async def until_leases_lapse(client: Client, desk: Desk, suite: RunningSuite) -> None:
    """Wait until no instance may rely on what users said of the doctor before it went away."""
    target = f"/v1/schedules/{desk.doctor.id}/slots?from={today()}&to={today()}"

    async def look(base: str) -> int:
        return (await ask(client, "GET", target, desk.patient.token, base=base)).status

    async def lapse(base: str) -> None:
        while await look(base) == 200:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.05)

    async with asyncio.timeout(30):
        await asyncio.gather(*map(lapse, suite.state["instances"]["appointments"]))


async def test_users_hangs_and_goes_on(client: Client, desk: Desk, suite: RunningSuite) -> None:
    await go_on_without_users(client, desk, suite)
    with suite.stopped("users-1"):
        await until_leases_lapse(client, desk, suite)
        refused, _ = await asyncio.gather(
            book(client, desk, 1), go_on_without_users(client, desk, suite)
        )
        assert_unavailable(refused, "users_unavailable")
    assert (await book(client, desk, 1)).status == 201
    assert suite.process("users-1")["restarts"] == 0


async def test_without_users_nobody_books_and_all_else_goes_on(
    client: Client, clinic: Clinic, desk: Desk, suite: RunningSuite
) -> None:
    with suite.deregistered("users"):
        await until(lambda: suite.healthy("users") == 0)
        gone = await client.send("GET", "/v1/doctors")
        assert (gone.status, gone.is_of_the_gateway) == (503, True)
        await until_leases_lapse(client, desk, suite)
        assert_unavailable(await book(client, desk, 2), "users_unavailable")
        await go_on_without_users(client, desk, suite)
        cancel = f"/v1/appointments/{desk.appointment}/cancel"
        await client.ok("POST", cancel, token=desk.patient.token)
    await until(lambda: suite.healthy("users") == 1)
    assert (await book(client, desk, 2)).status == 201
    await people_go_on(client, clinic, desk.patient)


async def test_without_appointments_there_are_no_files_and_people_go_on(
    client: Client, clinic: Clinic, desk: Desk, suite: RunningSuite
) -> None:
    token = desk.patient.token
    target = f"/v1/files/{desk.appointment}/{desk.file}"
    with suite.deregistered("appointments"):
        await until(lambda: suite.healthy("appointments") == 0)
        for method, path in (
            ("GET", target),
            ("GET", f"{target}/download"),
            ("POST", f"{target}/complete"),
            ("DELETE", target),
            ("GET", f"/v1/files?appointment_id={desk.appointment}"),
        ):
            assert_unavailable(await ask(client, method, path, token), "appointments_unavailable")
        await people_go_on(client, clinic, desk.patient)
    await until(lambda: suite.healthy("appointments") == 2)
    file = await client.ok("GET", target, token=token)
    assert (file["status"], file["version"]) == ("available", 2)


async def test_without_files_people_book_and_go_on(
    client: Client, clinic: Clinic, desk: Desk, suite: RunningSuite
) -> None:
    target = f"/v1/files/{desk.appointment}/{desk.file}"
    with suite.deregistered("files"):
        await until(lambda: suite.healthy("files") == 0)
        gone = await client.send("GET", target, token=desk.patient.token)
        assert (gone.status, gone.is_of_the_gateway) == (503, True)
        assert (await book(client, desk, 3)).status == 201
        await people_go_on(client, clinic, desk.patient)
    await until(lambda: suite.healthy("files") == 1)
    file = await client.ok("GET", target, token=desk.patient.token)
    assert file["status"] == "available"


async def test_a_killed_instance_is_replaced_and_loses_nothing_that_was_answered(
    client: Client, clinic: Clinic, people: People, suite: RunningSuite
) -> None:
    doctor = await clinic.doctor(people.admin)
    patients = await asyncio.gather(*(clinic.patient() for _ in range(8)))
    restarts = suite.process("appointments-2")["restarts"]
    done: dict[str, str] = {}

    async def insist(patient: Person, start: str) -> None:
        """Book as a careful client does: with a key, until there is an answer."""
        body = json.dumps({"doctor_id": doctor.id, "starts_at": start}).encode()
        headers = [("Content-Type", "application/json"), ("Idempotency-Key", f"insist-{start}")]
        while True:
            try:
                answer = await client.send(
                    "POST", "/v1/appointments", body, token=patient.token, headers=headers
                )
            except aiohttp.ClientConnectionError:
                continue  # cut off in the middle: what became of it, the key will tell
            if answer.status == 201:
                done[start] = answer.json["id"]
                return
            assert answer.status in (502, 503, 504), answer
            await asyncio.sleep(0.01)

    async def load(number: int, patient: Person) -> None:
        for slot in range(number, 288, len(patients)):
            await insist(patient, at(8, slot))

    async def kill() -> None:
        while len(done) < 50:  # noqa: ASYNC110 - the load is well under way then
            await asyncio.sleep(0.01)
        os.kill(suite.process("appointments-2")["pid"], signal.SIGKILL)

    await asyncio.gather(kill(), *(load(*one) for one in enumerate(patients)))
    assert len(done) == 288
    await until(lambda: suite.process("appointments-2")["restarts"] == restarts + 1)
    await suite.until_whole()
    listed = f"/v1/appointments?from={at(8, 0)}&limit=200"
    page = await client.ok("GET", listed, token=doctor.token)
    kept = {item["starts_at"]: item["id"] for item in page["items"]}
    more = f"{listed}&cursor={page['next_cursor']}"
    page = await client.ok("GET", more, token=doctor.token)
    kept |= {item["starts_at"]: item["id"] for item in page["items"]}
    assert kept == done
    suite.audit()
