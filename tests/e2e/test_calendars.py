"""Through the gateway: a time is searched, booked, and read in the calendars of both."""

import icalendar

from tests.e2e.client import Client
from tests.e2e.clinic import Clinic, today


async def test_what_is_found_and_booked_is_in_both_calendars(
    clinic: Clinic, client: Client
) -> None:
    admin = await clinic.admin()
    doctors = [await clinic.doctor(admin, specialty="calendars") for _ in range(2)]
    patient = await clinic.patient("Ada Lovelace")
    target = f"/v1/slots?specialty=Calendars&from={today()}&to={today()}&limit=3"
    found = (await client.ok("GET", target, token=patient.token))["items"]
    assert len(found) == 3
    assert {one["doctor_id"] for one in found} == {one.id for one in doctors}
    doctor = next(one for one in doctors if one.id == found[0]["doctor_id"])
    booked = await clinic.book(patient, doctor, found[0]["starts_at"])

    for person, summary in (
        (patient, "Appointment with Dr. Grace"),
        (doctor, "Appointment (A. L.)"),
    ):
        made = await client.ok("POST", "/v1/calendars", token=person.token)
        # As the caller has it: the address leads through the gateway.
        base, slash, path = made["url"].partition("/v1/")
        answer = await client.call("GET", slash + path, base=base)
        assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
        events = icalendar.Calendar.from_ical(answer.body).walk("VEVENT")
        assert [str(event["UID"]).partition("@")[0] for event in events] == [booked["id"]]
        assert [str(event["SUMMARY"]) for event in events] == [summary]
        known = [("If-None-Match", answer.headers["ETag"])]
        assert (await client.call("GET", slash + path, headers=known)).status == 304
