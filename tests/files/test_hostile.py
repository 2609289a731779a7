"""What callers send who mean no good, or don't know better."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.files.conftest import PDF_BYTES, MakePerson, send_form
from tests.files.naughty import NAUGHTY, naughty_strings
from tests.files.test_content import GENUINE
from tests.files.test_journey import fetch


@pytest.mark.skipif(not NAUGHTY.is_file(), reason="blns.json is not beside this repository")
async def test_a_naughty_name_is_no_danger_to_a_header(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    candidates = [
        n for n in naughty_strings() if any(c in n for c in "\"';%<>=") or not n.isascii()
    ]
    tried = 0
    for name in candidates[::6]:
        answered = await patient.announce("a1", filename=name)
        if answered.status != 201:
            continue
        document = await answered.json()
        assert await send_form(document["upload"], PDF_BYTES) == 204
        path = f"/v1/files/a1/{document['file']['id']}"
        assert (await patient.call("POST", f"{path}/complete")).status == 200
        redirected = await patient.call("GET", f"{path}/download?redirect=true")
        status, body, headers = await fetch(redirected.headers["Location"])
        assert (status, body, headers["Content-Type"]) == (200, PDF_BYTES, "application/pdf")
        encoded = headers["Content-Disposition"].rpartition("UTF-8''")[2]
        assert encoded == quote(name, safe="!#$&+.^_`|~-")
        tried += 1
    assert tried > 10


@pytest.mark.parametrize("real", sorted(GENUINE))
async def test_a_lie_about_the_type_is_found_out(person: MakePerson, real: str) -> None:
    patient = person("p1", sees=("a1",))
    claimed = "image/png" if real != "image/png" else "text/plain"
    body = GENUINE[real]
    path = await patient.uploaded("a1", body, content_type=claimed)

    refused = await patient.call("POST", f"{path}/complete")

    assert (refused.status, (await refused.json())["code"]) == (422, "content_mismatch")
    again = await patient.call("POST", f"{path}/complete")
    assert (again.status, (await again.json())["code"]) == (409, "not_uploaded")
    listed = await (await patient.call("GET", "/v1/files?appointment_id=a1")).json()
    assert listed["items"] == []


@pytest.mark.parametrize("real", sorted(GENUINE))
async def test_every_type_of_the_contract_is_taken(person: MakePerson, real: str) -> None:
    patient = person("p1", sees=("a1",))
    path = await patient.completed("a1", GENUINE[real], content_type=real)
    redirected = await patient.call("GET", f"{path}/download?redirect=1")
    status, body, headers = await fetch(redirected.headers["Location"])
    assert (status, body, headers["Content-Type"]) == (200, GENUINE[real], real)


async def test_other_bytes_than_announced_are_refused(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    document = await (await patient.announce("a1")).json()
    path = f"/v1/files/a1/{document['file']['id']}"
    assert await send_form(document["upload"], PDF_BYTES + b"\n") == 400  # S3 itself refuses it
    assert await send_form(document["upload"], PDF_BYTES[:-1] + b"X") == 204

    refused = await patient.call("POST", f"{path}/complete")

    assert (refused.status, (await refused.json())["code"]) == (422, "checksum_mismatch")
    assert await send_form(document["upload"], PDF_BYTES) == 204
    assert (await patient.call("POST", f"{path}/complete")).status == 200


@pytest.mark.parametrize(
    ("body", "changes", "code"),
    [
        (PDF_BYTES + b"\n", {}, "checksum_mismatch"),
        (PDF_BYTES, {"x-amz-meta-sha256": "0" * 64}, "checksum_mismatch"),
        (PDF_BYTES, {"Content-Type": "text/html"}, "content_mismatch"),
    ],
)
async def test_what_a_careless_store_lets_through_is_found_on_completion(
    person: MakePerson, body: bytes, changes: dict[str, str], code: str
) -> None:
    """The emulator takes a form without policy and signature, as no S3 would."""
    patient = person("p1", sees=("a1",))
    document = await (await patient.announce("a1")).json()
    names = ("key", "Content-Type", "x-amz-meta-sha256")
    bare = {name: document["upload"]["fields"][name] for name in names}
    assert await send_form(document["upload"] | {"fields": bare}, body, **changes) == 204

    refused = await patient.call("POST", f"/v1/files/a1/{document['file']['id']}/complete")

    assert (refused.status, (await refused.json())["code"]) == (422, code)


async def test_a_signed_url_is_good_for_one_object_and_one_name(person: MakePerson) -> None:
    patient = person("p1", sees=("a1",))
    path = await patient.completed("a1")
    other = await patient.completed("a1", filename="other.pdf")
    url = (await (await patient.call("GET", f"{path}/download")).json())["url"]
    assert (await fetch(url))[0] == 200
    first_id, other_id = (p.rsplit("/")[-1] for p in (path, other))

    for altered in (
        url.replace(first_id, other_id),
        url.replace("/clean/", "/incoming/"),
        url.replace("report.pdf", "report.exe"),
        url.replace("application%2Fpdf", "text%2Fhtml"),
        url.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"),
    ):
        assert altered != url
        assert (await fetch(altered))[0] == 403
