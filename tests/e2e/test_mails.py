"""Who books is told by mail, at the address that users has."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import aiohttp

from tests.e2e.client import Client
from tests.e2e.clinic import Clinic, Person
from tests.e2e.conftest import People
from tests.e2e.running import RunningSuite


async def mails_to(suite: RunningSuite, person: Person, count: int) -> list[dict[str, Any]]:
    """What the emulator was given for somebody about appointments, once it is so much."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{suite.state['emulator']}/_ministack/ses/messages") as answer:
                accounts = (await answer.json())["messages"]
            everybody = [mail for mails in accounts.values() for mail in mails]
            found = [
                mail
                for mail in everybody
                if mail["To"] == [person.email] and "appointment" in mail["Subject"]
            ]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.1)


async def test_who_books_and_cancels_is_told_by_its_own_clocks(
    suite: RunningSuite, clinic: Clinic, client: Client, people: People
) -> None:
    patient = await clinic.patient("Zoë Private")
    zone = {"timezone": "Asia/Kathmandu"}
    await client.ok("PATCH", f"/v1/users/{patient.id}", zone, token=patient.token)
    first, *_ = await clinic.slots(people.doctor)
    positions = suite.log_positions()
    booked = await clinic.book(patient, people.doctor, first, reason="a private reason")
    await mails_to(suite, patient, 1)
    await client.ok("POST", f"/v1/appointments/{booked['id']}/cancel", {}, token=patient.token)
    told = await mails_to(suite, patient, 2)
    assert [mail["Subject"].partition(":")[0] for mail in told] == [
        "Your appointment is booked",
        "Your appointment was cancelled",
    ]
    text = told[0]["BodyText"]
    assert ", Asia/Kathmandu)" in text
    assert booked["doctor_name"] in text
    assert suite.gateway in text
    assert str(datetime.fromisoformat(first).year) in told[0]["Subject"]
    for private in ("private", "Private", "Zoë"):
        assert private not in text
    lines = [line for _, line in suite.written_since(positions)]
    assert lines
    assert not [line for line in lines if patient.email in line]
