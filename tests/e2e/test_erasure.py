"""A patient takes along all that is stored, and leaves: then there is no trace, anywhere."""

import asyncio
import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appointments_service.store_dynamodb.audit_table import Table
from servicekit.aws import open_client
from tests.e2e.client import Client
from tests.e2e.clinic import PASSWORD, Clinic, Person, at, new_email
from tests.e2e.conftest import People
from tests.e2e.running import RunningSuite, until
from tools.emulator import CREDENTIALS

SECONDS = 90.0
REASON, NOTE = "a private reason", "a private note"
FILENAME, CONTENT = "Zerlina.txt", b"Private findings of Zerlina.\n"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def name_of(email: str) -> str:
    """One that nobody else has."""
    return f"Zerlina {email.partition('@')[0]}"


def phone_of(email: str) -> str:
    """One that nobody else has."""
    return f"+{int(hashlib.sha256(email.encode()).hexdigest()[:10], 16):013}"


async def register(clinic: Clinic, email: str) -> Person:
    about = {"full_name": name_of(email), "phone": phone_of(email)}
    body = {"email": email, "password": PASSWORD, **about}
    await clinic.client.ok("POST", "/v1/auth/register", body)
    return await clinic.login(email)


async def appointments_of(clinic: Clinic, people: People, patient: Person) -> list[Any]:
    """One as it was booked, one moved, one cancelled, one that staff booked; two have files."""
    ok, token = clinic.client.ok, patient.token

    def keyed(name: str) -> list[tuple[str, str]]:
        return [("Idempotency-Key", f"{name}-{patient.id}")]

    doctor = await clinic.doctor(people.admin)
    book = {"reason": REASON, "doctor_id": doctor.id}
    made = [
        await ok(
            "POST",
            "/v1/appointments",
            {**book, "starts_at": at(20, slot)},
            token=token,
            headers=keyed(f"book-{slot}"),
        )
        for slot in range(3)
    ]
    made.append(
        await ok(
            "POST",
            "/v1/appointments",
            {**book, "starts_at": at(20, 9), "patient_id": patient.id},
            token=doctor.token,
            headers=keyed("staff"),
        )
    )
    target = f"/v1/appointments/{made[1]['id']}"
    body = {"starts_at": at(21, 0)}
    made[1] = await ok("POST", f"{target}/reschedule", body, token=token, headers=keyed("move"))
    target = f"/v1/appointments/{made[2]['id']}"
    made[2] = await ok("POST", f"{target}/cancel", {"reason": NOTE}, token=token)
    for one in made[:2]:
        await clinic.attach(patient, one["id"], CONTENT, filename=FILENAME)
        await clinic.announce(patient, one["id"], CONTENT, filename=f"pending-{FILENAME}")
    return made


async def stored(suite: RunningSuite) -> dict[str, str]:
    """All that is in each store, as one text."""
    found = []

    async def take(page: list[Any]) -> None:
        found.append(json.dumps(page))

    emulator = suite.state["emulator"]
    async with open_client("dynamodb", endpoint=emulator, region="us-east-1") as dynamodb:
        await Table(dynamodb, "appointments").scan(1, take)
    return {
        "users": _bytes_of(suite.run.users_database),
        "appointments": "".join(found),
        "files": await _objects(emulator),
    }


def _bytes_of(path: Path) -> str:
    """All bytes of the database, those of deleted rows too, once its log is written back."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = sorted(path.parent.glob(f"{path.name}*"))
    return "".join(file.read_bytes().decode("latin-1") for file in files)


async def _objects(emulator: str) -> str:
    """Every version of every object: key, metadata, and bytes."""
    found = []
    async with open_client("s3", endpoint=emulator, region="us-east-1") as s3:
        pages = s3.get_paginator("list_object_versions").paginate(Bucket="reports")
        async for page in pages:
            for version in page.get("Versions", ()):
                named = {"Key": version["Key"], "VersionId": version["VersionId"]}
                try:
                    answer = await s3.get_object(Bucket="reports", **named)
                except s3.exceptions.ClientError as error:
                    if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchVersion"):
                        raise
                    continue  # erased since it was listed
                body = (await answer["Body"].read()).decode(errors="replace")
                found.append(f"{version['Key']} {answer['Metadata']} {body}")
    return "\n".join(found)


async def traces(suite: RunningSuite, patient: Person) -> dict[str, list[str]]:
    """What is left of the person, by store."""
    texts = (patient.email, name_of(patient.email), phone_of(patient.email))
    personal = (*texts, REASON, NOTE, FILENAME, CONTENT.decode(), f"index/{patient.id}")
    everything = await stored(suite)
    return {
        store: [text for text in personal if text in content]
        for store, content in everything.items()
    }


async def until_erased(suite: RunningSuite, patient: Person) -> None:
    async with asyncio.timeout(SECONDS):
        while any((await traces(suite, patient)).values()):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.2)


async def check_record(clinic: Clinic, people: People, made: list[Any]) -> None:
    """The clinic still knows when what took place."""
    for before in made:
        target = f"/v1/appointments/{before['id']}"
        after = await clinic.client.ok("GET", target, token=people.admin.token)
        for name in ("id", "patient_id", "doctor_name", "starts_at", "ends_at", "status"):
            assert after[name] == before[name]
        assert (after["patient_name"], after["reason"]) == ("(erased)", None)
        target = f"/v1/files?appointment_id={before['id']}"
        assert (await clinic.client.ok("GET", target, token=people.admin.token))["items"] == []


async def test_a_patient_takes_everything_along_and_leaves_no_trace(
    client: Client, clinic: Clinic, people: People, suite: RunningSuite
) -> None:
    email = new_email()
    patient = await register(clinic, email)
    made = await appointments_of(clinic, people, patient)

    doctor = await clinic.doctor(people.admin)
    waiting = await clinic.wait(patient, doctor, days=300)
    exported = await client.ok("GET", "/v1/users/me/export", token=patient.token)
    assert exported["waitlist"] == [waiting]
    assert exported["account"] == await client.ok("GET", "/v1/users/me", token=patient.token)
    assert len(exported["sessions"]) == 1
    found = {one["id"]: one for one in exported["appointments"]}
    assert found.keys() == {one["id"] for one in made}
    for one in made:
        target = f"/v1/appointments/{one['id']}"
        history = await client.ok("GET", f"{target}/history", token=patient.token)
        target = f"/v1/files?appointment_id={one['id']}"
        files = await client.ok("GET", target, token=patient.token)
        whole = {**one, "history": history["items"], "files": files["items"]}
        assert found[one["id"]] == whole
    assert sum(len(one["files"]) for one in found.values()) == 2
    before = await traces(suite, patient)
    name = name_of(email)
    assert {email, phone_of(email), name} <= set(before["users"])
    assert {name, REASON, NOTE} <= set(before["appointments"])
    assert {FILENAME, CONTENT.decode(), f"index/{patient.id}"} <= set(before["files"])

    await client.ok("DELETE", "/v1/users/me", token=patient.token)
    await until_erased(suite, patient)

    await check_record(clinic, people, made)
    await client.refused(
        404, "not_found", "GET", f"/v1/users/{patient.id}", token=people.admin.token
    )
    suite.audit()
    again = await register(clinic, email)
    assert again.id != patient.id
    mine = await client.ok("GET", "/v1/appointments", token=again.token)
    assert mine["items"] == []


@pytest.mark.parametrize("service", ["appointments", "files"])
async def test_what_is_away_when_an_account_is_closed_erases_when_it_is_back(
    client: Client, clinic: Clinic, people: People, suite: RunningSuite, service: str
) -> None:
    patient = await register(clinic, new_email())
    made = await appointments_of(clinic, people, patient)
    with suite.deregistered(service):
        await until(lambda: suite.healthy(service) == 0)
        refused = await client.send("GET", "/v1/users/me/export", token=patient.token)
        assert (refused.status, refused.code) == (503, "neighbour_unavailable")
        await client.ok("DELETE", "/v1/users/me", token=patient.token)
        left = await traces(suite, patient)
        assert left["users"] == []
        assert name_of(patient.email) in left["appointments"]
    await suite.until_whole()
    await until_erased(suite, patient)
    await check_record(clinic, people, made)
    suite.audit()
