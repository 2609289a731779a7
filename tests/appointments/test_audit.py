"""Whoever reads a patient's appointments, and isn't the patient, leaves an event."""

from typing import Any

from structlog.testing import capture_logs

from tests.appointments.conftest import Suite


async def audited(suite: Suite, path: str, headers: dict[str, str]) -> list[Any]:
    with capture_logs() as logs:
        answer = await suite.client.get(path, headers=headers)
    events = [event for event in logs if event["event"] == "audit"]
    assert answer.status == 200 or events == []
    return [
        (event["caller"], event["role"], event["action"], event["subjects"]) for event in events
    ]


async def test_each_read_of_another_s_appointment(suite: Suite) -> None:
    await suite.set_hours()
    target = f"/v1/appointments/{(await suite.booked())['id']}"
    for part in ("", "/history"):
        path, action = f"{target}{part}", f"GET /v1/appointments/{{id}}{part}"
        seen = await audited(suite, path, suite.doctor())
        assert seen == [("doc", "doctor", action, ["pat"])]
        assert await audited(suite, path, suite.admin()) == [("boss", "admin", action, ["pat"])]
        assert await audited(suite, path, suite.patient()) == []
        assert await audited(suite, path, suite.patient("other")) == []
        assert await audited(suite, path, suite.doctor("other")) == []


async def test_a_list_names_all_whom_it_shows(suite: Suite) -> None:
    await suite.set_hours()
    await suite.booked()
    await suite.booked("2026-03-03T10:00:00Z", patient="bob")
    await suite.booked("2026-03-03T10:30:00Z", patient="bob")
    route = "GET /v1/appointments"
    seen = await audited(suite, "/v1/appointments", suite.doctor())
    assert seen == [("doc", "doctor", route, ["bob", "pat"])]
    seen = await audited(suite, "/v1/appointments?patient_id=bob", suite.admin())
    assert seen == [("boss", "admin", route, ["bob"])]
    assert await audited(suite, "/v1/appointments", suite.patient()) == []
    assert await audited(suite, "/v1/appointments", suite.doctor("other")) == []
