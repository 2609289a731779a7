"""A report's way: announced, uploaded, verified, listed, read, deleted."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta

import aiohttp
import pytest

from servicekit.testing import FakeClock
from tests.files.conftest import PDF_BYTES, MakePerson, send_form


async def fetch(url: str) -> tuple[int, bytes, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(url) as answered:
        return answered.status, await answered.read(), dict(answered.headers)


async def test_a_report_is_uploaded_verified_and_read_back(
    person: MakePerson, clock: FakeClock
) -> None:
    patient = person("p1", sees=("a1",))
    doctor = person("d1", "doctor", sees=("a1",))

    created = await patient.announce("a1", filename="Befund März.pdf")
    assert created.status == 201
    assert created.headers["ETag"] == '"1"'
    assert created.headers["Cache-Control"] == "no-store"
    document = await created.json()
    file = document["file"]
    assert file == {
        "id": file["id"],
        "appointment_id": "a1",
        "filename": "Befund März.pdf",
        "content_type": "application/pdf",
        "size_bytes": len(PDF_BYTES),
        "sha256": hashlib.sha256(PDF_BYTES).hexdigest(),
        "uploaded_by": "p1",
        "status": "pending",
        "scan": "unscanned",
        "version": 1,
        "created_at": "2026-03-02T08:00:00Z",
    }
    assert document["upload"]["expires_at"] == "2026-03-02T08:15:00Z"
    assert document["upload"]["fields"]["key"] == f"incoming/a1/{file['id']}"
    path = f"/v1/files/a1/{file['id']}"

    listed = await doctor.call("GET", "/v1/files?appointment_id=a1")
    assert await listed.json() == {"items": [], "next_cursor": None}
    pending = await doctor.call("GET", f"{path}/download")
    assert (pending.status, (await pending.json())["code"]) == (409, "not_available")

    assert await send_form(document["upload"], PDF_BYTES) == 204
    completed = await patient.call("POST", f"{path}/complete")
    assert completed.status == 200
    available = file | {"status": "available", "version": 2}
    assert await completed.json() == available
    assert completed.headers["ETag"] == '"2"'

    listed = await doctor.call("GET", "/v1/files?appointment_id=a1")
    assert await listed.json() == {"items": [available], "next_cursor": None}
    read = await doctor.call("GET", path)
    assert (await read.json(), read.headers["ETag"]) == (available, '"2"')

    answered = await doctor.call("GET", f"{path}/download")
    assert answered.headers["Cache-Control"] == "no-store"
    download = await answered.json()
    assert download["expires_at"] == "2026-03-02T08:05:00Z"
    status, body, headers = await fetch(download["url"])
    assert (status, body) == (200, PDF_BYTES)
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"Befund M_rz.pdf\"; filename*=UTF-8''Befund%20M%C3%A4rz.pdf"
    )

    redirected = await doctor.call("GET", f"{path}/download?redirect=true")
    assert redirected.status == 302
    status, body, _ = await fetch(redirected.headers["Location"])
    assert (status, body) == (200, PDF_BYTES)


async def test_completing_twice_is_answered_twice(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    path = await patient.completed("a1")

    again = await patient.call("POST", f"{path}/complete", json={})

    assert again.status == 200
    assert (await again.json())["version"] == 2


async def test_two_completes_at_once_agree(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    path = await patient.uploaded("a1")

    answers = await asyncio.gather(*(patient.call("POST", f"{path}/complete") for _ in range(6)))

    assert [answered.status for answered in answers] == [200] * 6
    assert [(await answered.json())["version"] for answered in answers] == [2] * 6
    listed = await (await patient.call("GET", "/v1/files?appointment_id=a1")).json()
    assert len(listed["items"]) == 1


async def test_twenty_announced_and_completed_at_once_are_all_there(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))

    paths = await asyncio.gather(
        *(patient.completed("a1", filename=f"{number}.pdf") for number in range(20))
    )

    listed = await (await patient.call("GET", "/v1/files?appointment_id=a1")).json()
    assert {item["filename"] for item in listed["items"]} == {f"{n}.pdf" for n in range(20)}
    assert {item["id"] for item in listed["items"]} == {path.rsplit("/")[-1] for path in paths}


async def test_a_second_upload_after_completion_changes_nothing_that_is_read(
    person: MakePerson,
) -> None:
    patient = person("p1", sees=("a1",))
    document = await (await patient.announce("a1")).json()
    path = f"/v1/files/a1/{document['file']['id']}"
    await send_form(document["upload"], PDF_BYTES)
    assert (await patient.call("POST", f"{path}/complete")).status == 200
    other = PDF_BYTES[:-6] + b"%%EVIL"
    assert len(other) == len(PDF_BYTES)

    assert await send_form(document["upload"], other) == 204

    again = await patient.call("POST", f"{path}/complete")
    assert again.status == 200
    download = await (await patient.call("GET", f"{path}/download")).json()
    assert (await fetch(download["url"]))[1] == PDF_BYTES


async def test_what_was_never_uploaded_cannot_be_completed(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    document = await (await patient.announce("a1")).json()

    refused = await patient.call("POST", f"/v1/files/a1/{document['file']['id']}/complete")

    assert (refused.status, (await refused.json())["code"]) == (409, "not_uploaded")


async def test_the_list_comes_in_pages(person: MakePerson, clock: FakeClock) -> None:
    patient = person("p1", sees=("a1", "a2"))
    for number in range(5):
        await patient.completed("a1", filename=f"{number}.pdf")
        clock.advance(timedelta(milliseconds=5))

    first = await (await patient.call("GET", "/v1/files?appointment_id=a1&limit=2")).json()
    cursor = first["next_cursor"]
    second = await (
        await patient.call("GET", f"/v1/files?appointment_id=a1&limit=3&cursor={cursor}")
    ).json()

    assert [item["filename"] for item in first["items"]] == ["0.pdf", "1.pdf"]
    assert [item["filename"] for item in second["items"]] == ["2.pdf", "3.pdf", "4.pdf"]
    assert second["next_cursor"] is None
    for url in (
        f"/v1/files?appointment_id=a2&cursor={cursor}",
        f"/v1/files?appointment_id=a1&cursor=x{cursor}",
    ):
        refused = await patient.call("GET", url)
        assert (refused.status, (await refused.json())["code"]) == (422, "bad_cursor")


@pytest.mark.parametrize(
    ("role", "who", "status"), [("patient", "p1", 204), ("admin", "s1", 204), ("doctor", "d1", 403)]
)
async def test_the_uploader_and_admins_delete(
    person: MakePerson, role: str, who: str, status: int
) -> None:
    patient = person("p1", sees=("a1",))
    path = await patient.completed("a1")
    download = await (await patient.call("GET", f"{path}/download")).json()
    other = patient if who == "p1" else person(who, role, sees=("a1",))

    answered = await other.call("DELETE", path)

    assert answered.status == status
    gone = status == 204
    assert (await patient.call("GET", path)).status == (404 if gone else 200)
    assert (await patient.call("GET", f"{path}/download")).status == (404 if gone else 200)
    assert (await patient.call("POST", f"{path}/complete")).status == (404 if gone else 200)
    assert (await patient.call("DELETE", path)).status == (404 if gone else 204)
    assert (await fetch(download["url"]))[0] == 404  # given out before, and of no use any more


async def test_a_pending_file_can_be_deleted(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    path = await patient.uploaded("a1")

    assert (await patient.call("DELETE", path)).status == 204

    assert (await patient.call("POST", f"{path}/complete")).status == 404
    assert (await patient.call("DELETE", path)).status == 404


async def test_if_match_is_honoured(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    path = await patient.uploaded("a1")

    async def status_of(method: str, suffix: str, tag: str) -> int:
        return (await patient.call(method, path + suffix, headers={"If-Match": tag})).status

    refused = await patient.call("POST", f"{path}/complete", headers={"If-Match": '"7"'})
    assert (refused.status, (await refused.json())["code"]) == (412, "version_mismatch")
    assert await status_of("POST", "/complete", "nonsense") == 400
    assert await status_of("POST", "/complete", '"1"') == 200
    assert await status_of("DELETE", "", '"1"') == 412
    assert await status_of("DELETE", "", 'W/"2"') == 412
    assert await status_of("DELETE", "", '"9", "2"') == 204
