"""Who may: appointments is asked, with the caller's own token, and believed."""

from __future__ import annotations

from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from files_service.app import create_app
from files_service.settings import Settings
from servicekit.testing import FakeClock, TokenMint
from tests.files.conftest import Client, MakePerson, Person
from tests.files.fakes import FakeNeighbours


async def problem_of(person: Person, method: str, path: str, **options: Any) -> dict[str, Any]:
    """The problem document, without what is different in every answer."""
    answered = await person.call(method, path, **options)
    assert answered.content_type == "application/problem+json"
    document: dict[str, Any] = await answered.json()
    assert document["status"] == answered.status
    return {k: v for k, v in document.items() if k not in ("instance", "request_id")}


async def test_somebody_elses_file_looks_like_none_at_all(
    person: MakePerson, neighbours: FakeNeighbours
) -> None:
    owner = person("p1", sees=("a1",))
    path = await owner.completed("a1")
    stranger = person("p2", sees=("a2",))

    missing = await problem_of(stranger, "GET", "/v1/files/a2/01kjprzb00hc0fk2gsp0bdy6np")
    assert (missing["status"], missing["code"]) == (404, "not_found")
    for method, url in [
        ("GET", path),
        ("GET", f"{path}/download"),
        ("GET", "/v1/files?appointment_id=a1"),
        ("GET", "/v1/files?appointment_id=nothing-there"),
        ("GET", "/v1/files/no.id/no.id"),
        ("POST", f"{path}/complete"),
        ("DELETE", path),
        # Another appointment's file under one's own appointment.
        ("GET", f"/v1/files/a2/{path.rsplit('/')[-1]}"),
        ("DELETE", f"/v1/files/a2/{path.rsplit('/')[-1]}"),
    ]:
        assert await problem_of(stranger, method, url) == missing, (method, url)
    created = await stranger.announce("a1")
    assert created.status == 404

    body = '{"status": 403, "code": "forbidden"}'
    neighbours.answer = (403, body, "application/problem+json")
    assert await problem_of(stranger, "GET", path) == missing


async def test_appointments_away(mint: TokenMint, settings: Settings, clock: FakeClock) -> None:
    nobody = settings.model_copy(update={"appointments_url": "http://127.0.0.1:9"})
    async with TestClient(TestServer(create_app(nobody, clock=clock))) as client:
        patient = Person(client, "p1", mint.token("p1", "patient", at=clock()))

        refused = await patient.call("GET", "/v1/files?appointment_id=a1")
        assert (refused.status, (await refused.json())["code"]) == (503, "appointments_unavailable")
        assert "Retry-After" in refused.headers

        health = await client.get("/health")
        assert health.status == 200
        rows = (await (await client.get("/health/dependencies")).json())["dependencies"]
        assert {row["name"]: row["status"] for row in rows} == {
            "s3": "ok",
            "appointments": "unavailable",
        }


async def test_dependencies_are_well(client: Client) -> None:
    answered = await client.get("/health/dependencies")
    assert answered.status == 200
    assert [row["name"] for row in (await answered.json())["dependencies"]] == [
        "s3",
        "appointments",
    ]
