"""Requests that never get as far as S3: the app over a store in memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer

from files_service.app import create_app
from files_service.domain import MAX_FILE_BYTES
from files_service.settings import Settings
from servicekit.paging import encode_cursor
from servicekit.testing import FakeClock
from tests.files.conftest import PDF_BYTES, Client, MakePerson
from tests.files.fakes import MemoryStore
from tests.files.naughty import NAUGHTY, naughty_strings

ANNOUNCEMENT = {
    "appointment_id": "a1",
    "filename": "report.pdf",
    "content_type": "application/pdf",
    "size_bytes": 10,
    "sha256": "0" * 64,
}


@pytest.fixture
def settings(neighbours_url: str) -> Settings:
    return Settings(
        appointments_url=neighbours_url, jwks_url=f"{neighbours_url}/.well-known/jwks.json"
    )


@pytest.fixture
async def client(settings: Settings, clock: FakeClock) -> AsyncIterator[Client]:
    app = create_app(settings, open_store=lambda *_: nullcontext(MemoryStore()), clock=clock)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.skipif(not NAUGHTY.is_file(), reason="blns.json is not beside this repository")
async def test_naughty_names_are_kept_exactly_or_refused(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    kept = {}
    for name in naughty_strings():
        answered = await patient.announce("a1", filename=name)
        assert answered.status in (201, 422), (name, answered.status)
        document = await answered.json()
        if answered.status == 422:
            assert document["code"] == "bad_filename"
            continue
        assert document["file"]["filename"] == name
        kept[document["file"]["id"]] = name
        # Each is one of an appointment's few hundred files.
        read = await patient.call("GET", f"/v1/files/a1/{document['file']['id']}")
        assert (await read.json())["filename"] == name
        deleted = await patient.call("DELETE", f"/v1/files/a1/{document['file']['id']}")
        assert deleted.status == 204
    assert len(kept) > 200


@pytest.mark.skipif(not NAUGHTY.is_file(), reason="blns.json is not beside this repository")
@pytest.mark.parametrize("field", ["appointment_id", "content_type", "sha256"])
async def test_naughty_strings_elsewhere_are_refused(person: MakePerson, field: str) -> None:
    patient = person("p1", sees=("a1",))
    for text in naughty_strings():
        answered = await patient.call("POST", "/v1/files", json=ANNOUNCEMENT | {field: text})
        # An id that is one, and nobody's: not found.
        assert answered.status in ((404, 422) if field == "appointment_id" else (422,)), text


@pytest.mark.skipif(not NAUGHTY.is_file(), reason="blns.json is not beside this repository")
async def test_naughty_ids_and_parameters(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    for text in naughty_strings():
        part = quote(text, safe="")
        for method, url in [
            ("GET", f"/v1/files/a1/{part}"),
            ("GET", f"/v1/files/{part}/f1/download"),
            ("DELETE", f"/v1/files/{part}/{part}"),
            ("GET", f"/v1/files?appointment_id={part}"),
            ("GET", f"/v1/files?appointment_id=a1&cursor={part}"),
            ("GET", f"/v1/files?appointment_id=a1&limit={part}"),
            ("GET", f"/v1/files/a1/f1/download?redirect={part}"),
        ]:
            answered = await patient.call(method, url)
            assert answered.status < 500, (method, url)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"filename": "../x.pdf"}, "bad_filename"),
        ({"filename": "a\r\nSet-Cookie: x=y"}, "bad_filename"),
        ({"filename": "x" * 256}, "bad_filename"),
        ({"content_type": "text/html"}, "type_not_allowed"),
        ({"content_type": "application/pdf; charset=x"}, "type_not_allowed"),
        ({"size_bytes": 0}, "empty"),
        ({"size_bytes": MAX_FILE_BYTES + 1}, "too_large"),
        ({"size_bytes": 10**400}, "too_large"),
        ({"size_bytes": -1}, "validation_failed"),
        ({"size_bytes": 1.5}, "validation_failed"),
        ({"size_bytes": "10"}, "validation_failed"),
        ({"size_bytes": True}, "validation_failed"),
        ({"size_bytes": None}, "validation_failed"),
        ({"sha256": "0" * 63}, "validation_failed"),
        ({"sha256": "0" * 64 + "\n"}, "validation_failed"),
        ({"sha256": "g" * 64}, "validation_failed"),
        ({"appointment_id": "a/1"}, "validation_failed"),
        ({"appointment_id": "a" * 81}, "validation_failed"),
        ({"filename": 5}, "validation_failed"),
        ({"key": "clean/x"}, "validation_failed"),
        ({"status": "available"}, "validation_failed"),
    ],
)
async def test_announcements_that_are_refused(
    person: MakePerson, change: dict[str, Any], code: str
) -> None:
    patient = person("p1", sees=("a1",))
    refused = await patient.call("POST", "/v1/files", json=ANNOUNCEMENT | change)
    assert (refused.status, (await refused.json())["code"]) == (422, code)


async def test_what_can_be_written_in_two_ways_is_understood(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    checksum = hashlib.sha256(PDF_BYTES).hexdigest()

    created = await patient.announce("a1", sha256=checksum.upper(), content_type="Application/PDF")

    file = (await created.json())["file"]
    assert (file["sha256"], file["content_type"]) == (checksum, "application/pdf")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 10_000, 400),
        (b'{"filename": "\\ud800.pdf"}', 400),
        (b'{"filename": "\xff"}', 400),
        (b"null", 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"a": ' + b"1" * 70_000 + b"}", 413),
    ],
)
async def test_bodies_that_are_none(person: MakePerson, body: bytes, status: int) -> None:
    patient = person("p1", sees=("a1",))
    headers = {"Content-Type": "application/json"}
    refused = await patient.call("POST", "/v1/files", data=body, headers=headers)
    assert refused.status == status, await refused.text()


async def test_another_media_type_is_refused(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    refused = await patient.call("POST", "/v1/files", data=b"a=b")
    assert (refused.status, (await refused.json())["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("limit", ["0", "-1", "201", "1e9", "", "many"])
async def test_limits_out_of_bounds(person: MakePerson, limit: str) -> None:
    patient = person("p1", sees=("a1",))
    refused = await patient.call("GET", f"/v1/files?appointment_id=a1&limit={limit}")
    assert refused.status == 422


async def test_a_list_is_of_an_appointment(person: MakePerson) -> None:
    patient = person("p1")
    assert (await patient.call("GET", "/v1/files")).status == 422


@pytest.mark.parametrize("position", [5, [], {}, True, 1.5])
async def test_a_forged_cursor_is_refused(person: MakePerson, position: object) -> None:
    patient = person("p1", sees=("a1",))
    cursor = encode_cursor("files a1", position)
    refused = await patient.call("GET", f"/v1/files?appointment_id=a1&cursor={cursor}")
    assert (refused.status, (await refused.json())["code"]) == (422, "bad_cursor")
