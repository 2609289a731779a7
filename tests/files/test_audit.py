"""Whoever reads of a patient's files, and isn't the patient, leaves an event."""

from typing import Any

from structlog.testing import capture_logs

from tests.files.conftest import MakePerson, Person
from tests.files.fakes import PATIENT, FakeNeighbours


async def audited(person: Person, path: str) -> list[Any]:
    with capture_logs() as logs:
        answer = await person.call("GET", path)
    events = [event for event in logs if event["event"] == "audit"]
    assert answer.status in (200, 302) or events == []
    return [
        (event["caller"], event["role"], event["action"], event["subjects"]) for event in events
    ]


async def test_each_read_of_another_s_files(person: MakePerson) -> None:
    patient = person(PATIENT, sees=("a1",))
    doctor, other = person("doc", "doctor", sees=("a1",)), person("other", "doctor")
    file = await patient.completed("a1")
    one = "GET /v1/files/{appointment_id}/{file_id}"
    for path, action in (
        ("/v1/files?appointment_id=a1", "GET /v1/files"),
        (file, one),
        (f"{file}/download", f"{one}/download"),
        (f"{file}/download?redirect=true", f"{one}/download"),
    ):
        assert await audited(doctor, path) == [("doc", "doctor", action, [PATIENT])]
        assert await audited(patient, path) == []
        assert await audited(other, path) == []
    assert await audited(doctor, "/v1/files/a1/unknown") == []


async def test_whose_files_they_are_must_be_known(
    person: MakePerson, neighbours: FakeNeighbours
) -> None:
    doctor = person("doc", "doctor")
    for body in ('{"id": "a1"}', '{"patient_id": null}', "[]"):
        neighbours.answer = (200, body, "application/json")
        answer = await doctor.call("GET", "/v1/files?appointment_id=a1")
        assert answer.status == 503
        assert (await answer.json())["code"] == "appointments_unavailable"
