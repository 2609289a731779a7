"""What a request meets before its handler, and what an answer looks like."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from servicekit import bodies
from tests.servicekit.conftest import Kit

GOOD = b'{"id": "a", "count": 1}'


async def refusal(kit: Kit, data: Any, **headers: str) -> tuple[int, str]:
    status, document = await kit.post("/v1/things", data, **headers)
    return status, document["code"]


async def test_a_body_comes_to_its_handler_as_its_model(kit: Kit) -> None:
    body = b'{"id": "a", "count": 1, "at": "2026-03-01T10:00:00+01:00", "on": "2026-03-01"}'
    status, made = await kit.post("/v1/things", body)
    assert status == 201
    assert made == {
        "id": "a",
        "count": 1,
        "at": "2026-03-01T09:00:00Z",
        "on": "2026-03-01",
        "zone": None,
    }


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"\xff", 400, "malformed_json"),
        (b'{"id": "\\ud800", "count": 1}', 400, "malformed_json"),
        (b"[" * 900, 400, "malformed_json"),
        (b"null", 422, "validation_failed"),
        (b"[]", 422, "validation_failed"),
        (b"{}", 422, "validation_failed"),
        (b'{"id": "a", "count": "1"}', 422, "validation_failed"),
        (b'{"id": "a", "count": true}', 422, "validation_failed"),
        (b'{"id": "a", "count": 1.5}', 422, "validation_failed"),
        (b'{"id": "a/b", "count": 1}', 422, "validation_failed"),
        (b'{"id": "a", "count": 1, "more": 1}', 422, "validation_failed"),
        (b'{"id": "a", "count": 1, "at": 1772359200}', 422, "validation_failed"),
        (b'{"id": "a", "count": 1, "on": "2026-02-30"}', 422, "validation_failed"),
        (b'{"id": "a", "count": 1, "zone": "Mars/Olympus"}', 422, "validation_failed"),
    ],
)
async def test_bodies_that_are_refused(kit: Kit, body: bytes, status: int, code: str) -> None:
    assert await refusal(kit, body) == (status, code)


async def test_what_was_wrong_is_listed_and_never_quoted(kit: Kit) -> None:
    _, document = await kit.post("/v1/things", b'{"id": "a", "count": "hunter2"}')
    [error] = document["errors"]
    assert error["loc"] == ["body", "count"]
    assert set(error) == {"loc", "msg", "type"}
    assert "hunter2" not in json.dumps(document)
    assert document["instance"] == "/v1/things"
    assert document["type"] == "urn:problem:validation_failed"


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 201),
        ("Application/JSON; charset=UTF-8", 201),
        ("application/merge-patch+json", 201),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
        (";;;", 415),
    ],
)
async def test_media_types(kit: Kit, media_type: str, status: int) -> None:
    assert (await kit.post("/v1/things", GOOD, **{"Content-Type": media_type}))[0] == status


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_may_be_as_large_as_its_limit_and_no_larger(kit: Kit, chunked: bool) -> None:
    async def pieces(body: bytes) -> Any:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    def sent(body: bytes) -> Any:
        return pieces(body) if chunked else body

    fits = GOOD + b" " * (1000 - len(GOOD))
    assert (await kit.post("/v1/things", sent(fits)))[0] == 201
    assert await refusal(kit, sent(fits + b" ")) == (413, "body_too_large")


async def test_a_compressed_body_counts_by_what_it_holds(kit: Kit) -> None:
    small = gzip.compress(GOOD)
    assert (await kit.post("/v1/things", small, **{"Content-Encoding": "gzip"}))[0] == 201
    bomb = gzip.compress(b" " * 100_000)
    assert len(bomb) < 1000
    assert await refusal(kit, bomb, **{"Content-Encoding": "gzip"}) == (413, "body_too_large")
    broken = await refusal(kit, b"no gzip", **{"Content-Encoding": "gzip"})
    assert broken == (400, "bad_request")


async def test_a_body_that_trickles_is_given_up(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_SECONDS", 0.01)
    ended = asyncio.Event()

    async def trickle() -> Any:
        yield b"{"
        await ended.wait()

    assert await refusal(kit, trickle()) == (408, "body_timeout")
    ended.set()


@pytest.mark.parametrize(
    ("body", "media_type"), [(None, "text/plain"), (b"", ""), (b"{}", "application/json")]
)
async def test_where_nothing_is_needed_nothing_need_be_sent(
    kit: Kit, body: bytes | None, media_type: str
) -> None:
    headers = {"Content-Type": media_type, **kit.auth("ann", "admin")}
    assert (await kit.post("/v1/notes", body, **headers))[0] == 200
    assert (await kit.post("/v1/things/a/touch", body, **headers))[0] == 200


async def test_what_is_sent_where_nothing_is_needed_is_still_read(kit: Kit) -> None:
    headers = kit.auth("ann", "admin")
    assert (await kit.post("/v1/things/a/touch", b'{"a": 1}', **headers))[0] == 422
    assert (await kit.post("/v1/things/a/touch", b"nonsense", **headers))[0] == 400
    plain = {**headers, "Content-Type": "text/plain"}
    assert (await kit.post("/v1/things/a/touch", b"{}", **plain))[0] == 415


@pytest.mark.parametrize(
    ("headers", "versions"),
    [
        ([], None),
        (["*"], None),
        (['"1"'], [1]),
        (['"1", "22"'], [1, 22]),
        (['"1"', '"2"'], [1, 2]),
        (['W/"1"'], []),
        (['W/"1", "2"'], [2]),
        (['"abc"'], []),
        (['","'], []),
        (['"1,"'], []),
        (['""'], []),
        (['"' + "9" * 30 + '"'], []),
    ],
)
async def test_if_match_names_versions(
    kit: Kit, headers: list[str], versions: list[int] | None
) -> None:
    sent = [("If-Match", value) for value in headers]
    sent += list(kit.auth("ann", "admin").items())
    response = await kit.client.post("/v1/things/a/touch", headers=sent)
    assert (await response.json())["versions"] == versions


@pytest.mark.parametrize("value", ["", " ", "1", '"1', '"1" "2"', '"a"1"b"', '*, "1"', '"é"', ","])
async def test_a_malformed_if_match_is_never_taken_for_none(kit: Kit, value: str) -> None:
    headers = {"If-Match": value, **kit.auth("ann", "admin")}
    status, document = await kit.post("/v1/things/a/touch", **headers)
    assert (status, document["code"]) == (400, "bad_header")


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ([], 200),
        (["k"], 200),
        (["!" * 255], 200),
        ([""], 400),
        (["a b"], 400),
        (["k" * 256], 400),
        (["é"], 400),
        (["a", "a"], 400),
    ],
)
async def test_idempotency_keys(kit: Kit, keys: list[str], status: int) -> None:
    sent = [("Idempotency-Key", key) for key in keys]
    sent += list(kit.auth("ann", "admin").items())
    response = await kit.client.post("/v1/things/a/touch", headers=sent)
    assert response.status == status
    if status == 200:
        assert (await response.json())["key"] == (keys[0] if keys else None)


@pytest.mark.parametrize("path", ["/v1/things/a%2Fb", "/v1/things/%00", "/v1/things/%ff", "/x"])
async def test_what_can_be_no_id_is_not_there(kit: Kit, path: str) -> None:
    response = await kit.client.get(path)
    assert (response.status, (await response.json())["code"]) == (404, "not_found")


async def test_a_method_that_is_not_offered(kit: Kit) -> None:
    response = await kit.client.put("/v1/things/a")
    assert (response.status, (await response.json())["code"]) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "DELETE"}


async def test_head_is_get_without_its_body(kit: Kit) -> None:
    head = await kit.client.head("/v1/things/a")
    got = await kit.client.get("/v1/things/a")
    assert head.status == got.status == 200
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    assert await head.read() == b""


async def test_a_body_where_none_belongs_is_left_alone(kit: Kit) -> None:
    who = kit.auth("ann", "patient")
    assert (await kit.client.get("/v1/things/a", data=b"x" * 100_000)).status == 200
    assert (await kit.client.delete("/v1/things/a", data=b"{", headers=who)).status == 204


async def test_failures_are_told_without_what_caused_them(kit: Kit) -> None:
    boom = await kit.client.get("/v1/failures/boom")
    assert boom.status == 500
    assert "hunter2" not in await boom.text()
    away = await kit.client.get("/v1/failures/away")
    document = await away.json()
    assert (away.status, document["code"]) == (503, "store_unavailable")
    assert away.headers["Retry-After"] == "1"
    assert away.content_type == "application/problem+json"
    full = await kit.client.get("/v1/failures/full")
    document = await full.json()
    assert (full.status, full.headers["Retry-After"], document["limit"]) == (429, "7", 3)


async def test_what_takes_too_long_is_given_up(kit: Kit) -> None:
    response = await kit.client.get("/v1/hang")
    assert (response.status, (await response.json())["code"]) == (503, "deadline_exceeded")
    assert response.headers["Retry-After"] == "1"


async def test_a_request_keeps_its_own_names_if_they_are_well_formed(kit: Kit) -> None:
    kept = await kit.client.get("/v1/things/a", headers={"X-Request-Id": "mine-1"})
    assert kept.headers["X-Request-Id"] == "mine-1"
    for bad in ("a b", "x" * 129, "é"):
        made = await kit.client.get("/v1/failures/away", headers={"X-Request-Id": bad})
        given = made.headers["X-Request-Id"]
        assert given != bad
        assert len(given) == 32
        assert (await made.json())["request_id"] == given
