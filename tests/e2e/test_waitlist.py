"""Waiting for a time, through the gateway: cancelled by one, offered to the next, accepted."""

import asyncio
from typing import Any

from tests.e2e.client import Client
from tests.e2e.clinic import WEEKDAYS, Clinic, Person, today

SECONDS = 60.0


async def only_entry(client: Client, person: Person) -> Any:
    [entry] = (await client.ok("GET", "/v1/waitlist", token=person.token))["items"]
    return entry


async def test_who_waits_gets_what_another_gives_back(clinic: Clinic, client: Client) -> None:
    admin = await clinic.admin()
    # One time a day: the first booking leaves nothing to wait for but its own.
    noon = [{"start": "12:00", "end": "12:30"}]
    hours = {"timezone": "UTC", "weekly": dict.fromkeys(WEEKDAYS, noon), "slot_minutes": 30}
    doctor = await clinic.doctor(admin, hours)
    first, second, third = [await clinic.patient(name) for name in ("Ada", "Grace", "Edsger")]
    starts_at = next(slot for slot in await clinic.slots(doctor) if slot[:10] > str(today()))
    taken = await clinic.book(first, doctor, starts_at)
    days = {"doctor_id": doctor.id, "from": starts_at[:10], "to": starts_at[:10]}
    entry = await client.ok("POST", "/v1/waitlist", days, token=second.token)
    assert (entry["status"], entry["offer"]) == ("waiting", None)
    await client.ok("POST", "/v1/waitlist", days, token=third.token)
    target = f"/v1/appointments/{taken['id']}/cancel"
    await client.ok("POST", target, token=first.token)

    async with asyncio.timeout(SECONDS):
        now = await only_entry(client, second)
        while now["status"] == "waiting":
            await asyncio.sleep(0.05)
            now = await only_entry(client, second)
    assert (now["status"], now["offer"]["starts_at"]) == ("offered", starts_at)
    assert starts_at not in await clinic.slots(doctor)
    accept = f"/v1/waitlist/{entry['id']}/accept"
    made = await client.ok("POST", accept, token=second.token)
    assert (made["starts_at"], made["status"]) == (starts_at, "booked")
    assert made["patient_name"] == "Grace"
    await client.refused(409, "offer_expired", "POST", accept, token=second.token)
    assert (await only_entry(client, third))["status"] == "waiting"
