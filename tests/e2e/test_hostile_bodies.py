"""Bodies that nobody means to send, for every operation that takes one."""

import gzip
import json
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import Client
from tests.e2e.clinic import Clinic
from tests.e2e.documents import Operation, Place
from tests.e2e.examples import EXAMPLES, Desk
from tests.e2e.running import RunningSuite

pytestmark = pytest.mark.usefixtures("no_failures")

JSON = ("Content-Type", "application/json")
MANY = 10_000
BROKEN: list[tuple[bytes, set[int]]] = [
    (b" ", {400}),
    (b"{", {400}),
    (b'{"email": "a', {400}),
    (b"{}{}", {400}),
    (b"{'a': 1}", {400}),
    (b"\xef\xbb\xbf{}", {400}),
    (b"[" * MANY, {400}),
    (b"[" * MANY + b"]" * MANY, {400}),
    (b'{"a":' * MANY, {400}),
    (b"\xff\xfe\x00", {400}),
    ("{}".encode("utf-16"), {400}),
    (b'{"a": "\xed\xa0\x80"}', {400}),
    (b'{"a": "\xff"}', {400}),
    (b'{"a": "\\ud800"}', {400}),
    (b'{"a": "\x00"}', {400}),
    (b'{"a": ' + b"9" * 5000 + b"}", {400, 422}),
    (b'{"a": NaN}', {400, 422}),
    (b'{"a": 1e999}', {400, 422}),
    (b"null", {422}),
    (b"true", {422}),
    (b"[]", {422}),
    (b'[{"a": 1}]', {422}),
    (b'"text"', {422}),
    (b"1e999", {400, 422}),
    (b'{"surplus": 1}', {422}),
    (b'{"": 1, "__proto__": {}, "constructor": 1}', {422}),
    (b"{}" + b" " * (2 << 20), {413}),
    (b'{"a": "' + b"x" * (2 << 20) + b'"}', {413}),
]

# One of every other type, numbers that fit into no register, and what only some parsers take.
OTHER_TYPES = [
    "null", "true", "0", "-1", "1.5", "1e999", "-1e999", "NaN", "Infinity", "-0", "1" + "0" * 400,
    "1e400", "9223372036854775808", "[]", "{}", '[""]', '{"a": "b"}', '""', '"x"', '"\\u0000"',
]  # fmt: skip


@pytest.fixture
def with_bodies(every_operation: list[Operation]) -> list[Operation]:
    found = [one for one in every_operation if one.has_body]
    missing = {one.name for one in found} - EXAMPLES.keys()
    assert not missing, f"an operation without an example: {missing}"
    return found


def token_for(operation: Operation, desk: Desk) -> str | None:
    caller = EXAMPLES[operation.name].caller
    return caller(desk).token if caller is not None else None


async def all_there_is(client: Client, desk: Desk) -> list[bytes]:
    """What callers can see of what these requests are about."""
    targets = [
        "/v1/users?limit=200",
        f"/v1/doctors/{desk.doctor.id}",
        f"/v1/schedules/{desk.doctor.id}",
        f"/v1/schedules/{desk.doctor.id}/overrides",
        f"/v1/appointments?doctor_id={desk.doctor.id}",
        f"/v1/files?appointment_id={desk.appointment}",
        f"/v1/appointments/{desk.appointment}/history",
    ]
    return [(await client.call("GET", one, token=desk.admin.token)).body for one in targets]


async def test_what_is_no_body_of_the_operation_is_refused(
    client: Client, with_bodies: list[Operation], desks: list[Desk], suite: RunningSuite
) -> None:
    desk = desks[0]
    before = await all_there_is(client, desk)
    for operation in with_bodies:
        send = partial(
            client.call,
            operation.method,
            EXAMPLES[operation.name].target(desk),
            token=token_for(operation, desk),
        )
        for body, expected in BROKEN:
            answer = await send(body)
            assert answer.status in expected, answer
        if not operation.body_may_be_empty:
            for nothing in (b"", b"{}"):
                answer = await send(nothing)
                assert answer.status in (400, 422), answer
    assert await all_there_is(client, desk) == before
    suite.audit()


async def test_a_body_of_another_type_is_refused(
    client: Client, with_bodies: list[Operation], desks: list[Desk]
) -> None:
    desk = desks[0]
    types = [
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json; charset=utf-16",
        "json",
        "/",
        ";",
        "application/json, text/plain",
        "application/\U0001f33b",
    ]
    for operation in with_bodies:
        example = EXAMPLES[operation.name]
        target, token = example.target(desk), token_for(operation, desk)
        raw = json.dumps(example.body(desk)).encode()
        for media_type in types:
            headers = [("Content-Type", media_type)]
            answer = await client.call(operation.method, target, raw, token=token, headers=headers)
            assert answer.status == 415, (media_type, answer)
        answer = await client.send(operation.method, target, raw, token=token)
        assert answer.status == 415, answer


def replaced(body: Any, place: Place, raw: str) -> bytes:
    """The body as JSON with a field's value written as it is given."""
    marker = "the value goes here"
    copy = json.loads(json.dumps(body))
    holder: Any = copy
    for key in place[:-1]:
        holder = next(iter(holder.values())) if key == "*" else holder[key]
    holder[place[-1]] = marker
    return json.dumps(copy).replace(json.dumps(marker), raw).encode()


async def test_a_value_of_another_type_is_refused_in_every_field(
    clinic: Clinic, with_bodies: list[Operation], desks: list[Desk]
) -> None:
    desk = desks[0]
    for operation in with_bodies:
        example = EXAMPLES[operation.name]
        if operation.name.endswith("/cancel"):
            continue  # its one field may be null, and a second cancellation is no test of types
        token = token_for(operation, desk)
        for place, schema in operation.fields():
            types = operation.types(schema)
            for raw in OTHER_TYPES:
                body = replaced(example.body(desk), place, raw)
                target = example.target(desk)
                answer = await clinic.client.call(operation.method, target, body, token=token)
                if _type_of(raw) not in types:
                    assert answer.status in (400, 422), (place, raw, answer)
                if answer.status < 300:
                    await example.undo(clinic, desk, answer)


def _type_of(raw: str) -> str:
    """The JSON Schema type of a value."""
    if raw in ("NaN", "Infinity"):
        return "no JSON"
    value = json.loads(raw)
    types = {
        type(None): "null",
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }
    return types[type(value)]


async def test_of_a_member_that_is_there_twice_one_counts(
    client: Client, desks: list[Desk]
) -> None:
    """RFC 8259 leaves open what becomes of it: it is refused, or one of both is taken whole."""
    desk = desks[0]
    raw = b'{"full_name": "One", "full_name": "Two"}'
    answer = await client.call("PATCH", "/v1/users/me", raw, token=desk.patient.token)
    assert answer.status in (200, 400, 422), answer
    if answer.status == 200:
        assert answer.json["full_name"] in ("One", "Two")


@pytest.mark.parametrize("size", [60_000, 64 << 20])
async def test_a_compressed_body_is_bounded_by_what_it_becomes(
    client: Client, with_bodies: list[Operation], desks: list[Desk], suite: RunningSuite, size: int
) -> None:
    desk = desks[0]
    before = resident_kib(suite)
    content = b'{"surplus": "' + b"x" * size + b'"}'
    for encoding, packed in {
        "gzip": gzip.compress(content),
        "deflate": zlib.compress(content),
        "gzip, gzip": gzip.compress(gzip.compress(content)),
    }.items():
        headers = [JSON, ("Content-Encoding", encoding)]
        for operation in with_bodies:
            target = EXAMPLES[operation.name].target(desk)
            token = token_for(operation, desk)
            more: dict[str, Any] = {"token": token, "headers": headers}
            answer = await client.call(operation.method, target, packed, **more)
            # What is undone is refused for what it holds, or for its size.
            assert answer.status in (400, 413, 415, 422), (encoding, answer)
    grown = {name: kib - before[name] for name, kib in resident_kib(suite).items()}
    assert max(grown.values()) < 48 << 10, grown  # less than one bomb


def resident_kib(suite: RunningSuite) -> dict[str, int]:
    """The memory that each process holds, in KiB, as the kernel counts it (proc(5))."""
    found = {}
    for row in suite.state["processes"]:
        status = Path(f"/proc/{row['pid']}/status")
        if status.exists():
            found[row["name"]] = int(status.read_text().partition("VmRSS:")[2].split()[0])
    return found
