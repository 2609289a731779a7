"""The main job, from nothing: find a time, book it, attach a report, move, cancel."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.client import Client
from tests.e2e.clinic import Clinic
from tests.e2e.running import RunningSuite
from tools.environments import ROOT

REPORT = b"%PDF-1.7\n" + bytes(range(256)) * 64 + b"\n%%EOF\n"


async def test_a_patient_books_attaches_moves_and_cancels(clinic: Clinic, client: Client) -> None:
    admin = await clinic.admin()
    doctor = await clinic.doctor(
        admin,
        {
            "timezone": "America/Sao_Paulo",
            "weekly": {day: [{"start": "09:00", "end": "12:00"}] for day in ("mon", "thu")},
            "slot_minutes": 30,
            "buffer_after_minutes": 10,
        },
        specialty="journeys",
    )
    patient = await clinic.patient("Ada Lovelace")
    found = await client.ok("GET", "/v1/doctors?specialty=Journeys")
    assert [item["id"] for item in found["items"]] == [doctor.id]

    first, *later = await clinic.slots(doctor)
    booked = await clinic.book(patient, doctor, first, reason="checkup")
    assert booked["status"] == "booked"
    assert booked["patient_name"] == "Ada Lovelace"
    assert booked["doctor_name"] == "Dr. Grace"
    assert booked["timezone"] == "America/Sao_Paulo"
    target = f"/v1/appointments/{booked['id']}"
    assert await client.ok("GET", target, token=patient.token) == booked
    assert first not in await clinic.slots(doctor)
    explained = await client.ok("GET", f"/v1/schedules/{doctor.id}/explain?starts_at={first}")
    assert (explained["bookable"], explained["code"]) == (False, "slot_taken")

    file = await clinic.attach(
        patient, booked["id"], REPORT, filename="report.pdf", content_type="application/pdf"
    )
    assert (file["status"], file["sha256"]) == ("available", hashlib.sha256(REPORT).hexdigest())
    files = f"/v1/files/{booked['id']}/{file['id']}"
    link = await client.ok("GET", f"{files}/download", token=doctor.token)
    async with aiohttp.ClientSession() as session, session.get(link["url"]) as response:
        assert await response.read() == REPORT
        assert response.headers["Content-Type"] == "application/pdf"
        assert "attachment" in response.headers["Content-Disposition"]
    redirect = await client.call("GET", f"{files}/download?redirect=true", token=patient.token)
    assert redirect.status == 302
    async with (
        aiohttp.ClientSession() as session,
        session.get(redirect.headers["Location"]) as response,
    ):
        assert await response.read() == REPORT
    stranger = await clinic.patient()
    await client.refused(404, "not_found", "GET", files, token=stranger.token)

    schedule = await client.ok("GET", "/v1/appointments", token=doctor.token)
    assert schedule["items"] == [booked]

    moved = await client.ok(
        "POST", f"{target}/reschedule", {"starts_at": later[-1]}, token=patient.token
    )
    assert (moved["id"], moved["starts_at"]) == (booked["id"], later[-1])
    assert first in await clinic.slots(doctor)
    assert later[-1] not in await clinic.slots(doctor)
    cancelled = await client.ok("POST", f"{target}/cancel", {"reason": "ill"}, token=doctor.token)
    assert (cancelled["status"], cancelled["cancelled_by"]) == ("cancelled", doctor.id)
    assert later[-1] in await clinic.slots(doctor)
    await client.refused(409, "wrong_status", "POST", f"{target}/cancel", token=patient.token)

    history = await client.ok("GET", f"{target}/history", token=patient.token)
    assert [
        (line["actor_id"], line["from_status"], line["to_status"], line["starts_at"])
        for line in history["items"]
    ] == [
        (patient.id, None, "booked", first),
        (patient.id, "booked", "booked", later[-1]),
        (doctor.id, "booked", "cancelled", later[-1]),
    ]
    assert history["items"][-1]["note"] == "ill"


async def test_both_instances_take_part_in_one_booking(
    clinic: Clinic, client: Client, suite: RunningSuite
) -> None:
    """What one instance was told, the other knows: nothing is kept in a process alone."""
    admin = await clinic.admin()
    doctor = await clinic.doctor(admin)
    one, other = suite.state["instances"]["appointments"]
    patient = await clinic.patient()
    first, second = (await clinic.slots(doctor, days=1))[-2:]
    key = [("Idempotency-Key", "the-same-for-both")]
    body = {"doctor_id": doctor.id, "starts_at": first}
    call = ("POST", "/v1/appointments", body)
    here = await client.call(*call, token=patient.token, headers=key, base=one)
    there = await client.call(*call, token=patient.token, headers=key, base=other)
    assert (here.status, there.status) == (201, 201)
    assert there.headers["Idempotency-Replayed"] == "true"
    assert there.body == here.body
    # A change of hours at one governs every booking that begins after it was answered.
    closed = {"timezone": "UTC", "weekly": {}, "slot_minutes": 5}
    target = f"/v1/schedules/{doctor.id}"
    await client.ok("PUT", target, closed, token=doctor.token, base=one)
    body = {"doctor_id": doctor.id, "starts_at": second}
    refused = ("POST", "/v1/appointments", body)
    await client.refused(422, "outside_hours", *refused, token=patient.token, base=other)


def walk(readme: str) -> str:
    """The shell blocks of the section "A walk", as one script."""
    section = readme.partition("\n## A walk\n")[2].partition("\n## ")[0]
    return "".join(re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk is written for curl")
def test_the_walk_of_the_readme_works_as_it_is_pasted(suite: RunningSuite, tmp_path: Path) -> None:
    script = walk((ROOT / "README.md").read_text())
    assert "curl" in script, 'README.md has no section "A walk" with shell blocks'
    result = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "SUITE": suite.gateway,
            "SUITE_JSON": str(suite.run.suite),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "All is well.\n" in result.stdout
    assert '"code":"slot_taken"' in result.stdout
    assert '"status":"available"' in result.stdout
    assert '"reason":"checkup"' in result.stdout.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
