"""The Big List of Naughty Strings in every text field: given back exactly, or refused with a 4xx.

All fields of a request are tried at once. Those that a refusal names get a good value, and the
rest is tried again, until it is taken or nothing is left to try.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from servicekit.wire import is_id
from tests.e2e.client import Answer, Client, open_client
from tests.e2e.clinic import PASSWORD, Clinic, at, today
from tests.e2e.documents import Operation, Place
from tests.e2e.examples import EXAMPLES, Desk, let_in, patient_of
from tests.e2e.running import RunningSuite

pytestmark = pytest.mark.usefixtures("no_failures")

Field = Place
Try = Callable[[set[Field]], Awaitable[Answer]]

_ELSEWHERE = {"POST /v1/appointments/{id}/cancel", "POST /v1/auth/login"}

_LONGEST_QUERY = 12_000  # bytes; a load balancer takes no longer lines than 16 K


# What an id that is well formed, and nobody's, is answered with nothing for.
_EMPTY_FOR_UNKNOWN = ("/overrides", "/explain")


@pytest.fixture
def strings(naughty_strings: list[str]) -> list[str]:
    return [*naughty_strings, "\x00", "a\x00b", "\U0010ffff", "\ufeff", "\u202etxt.exe", "é" * 300]


async def share(desks: list[Desk], work: list[str], do: Callable[[Desk, str], Any]) -> None:
    """Do the work at all desks at once; a desk does one thing after the other."""
    failures: list[str] = []

    async def sit(desk: Desk, mine: list[str]) -> None:
        for text in mine:
            try:
                await do(desk, text)
            except AssertionError as error:
                failures.append(f"{text!r}: {error}")

    await asyncio.gather(
        *(sit(desk, work[number :: len(desks)]) for number, desk in enumerate(desks))
    )
    assert not failures, f"{len(failures)}, such as\n" + "\n".join(failures[:8])


async def settle(fields: set[Field], attempt: Try, named: Callable[[Answer], set[Field]]) -> Answer:
    """Try until it is taken or refused for a reason that names none of the fields.

    `fields` keeps those that were not refused.
    """
    while True:
        answer = await attempt(fields)
        refused = named(answer) & fields if answer.status >= 400 else set()
        fields -= refused
        if not refused or not fields:
            return answer


def put(body: Any, place: Place, value: object) -> None:
    """Set the field at that place; `*` stands for all that are there."""
    first, *rest = place
    for key in list(body) if first == "*" else [first]:
        if rest:
            put(body[key], tuple(rest), value)
        else:
            body[key] = value


def named_in_body(fields: set[Field], codes: dict[str, str], answer: Answer) -> set[Field]:
    """The fields that a refusal names, in its errors or by its code."""
    assert answer.is_problem, answer
    places = [tuple(error["loc"][1:]) for error in answer.json.get("errors", ())]
    if not places and answer.code in codes:
        places = [(codes[answer.code],)]
    return {field for field in fields for place in places if _is_at(field, place)}


def _is_at(field: Field, place: Place) -> bool:
    # The place may be that of what holds the field, where the whole of it is refused.
    return all(one in ("*", other) for one, other in zip(field, place, strict=False)) and len(
        place
    ) <= len(field)


async def try_body(
    clinic: Clinic,
    operation: Operation,
    fields: set[Field],
    taken: Counter[str],
    desk: Desk,
    text: str,
) -> None:
    fields = set(fields)
    example = EXAMPLES[operation.name]
    token = example.caller(desk).token if example.caller is not None else None

    async def attempt(hostile: set[Field]) -> Answer:
        body = example.body(desk)
        for place in hostile:
            put(body, place, text)
        return await clinic.client.call(operation.method, example.target(desk), body, token=token)

    codes = dict(example.fields_of)
    answer = await settle(fields, attempt, partial(named_in_body, set(fields), codes))
    if answer.status >= 400:
        allowed = not fields or answer.code in example.refusals
        assert allowed, f"{operation.name}: {text!r} in {fields}: {answer}"
        return
    taken.update(f"{operation.name} {field[-1]}" for field in fields)
    await check_stored(clinic, operation, desk, text, fields, answer)
    await example.undo(clinic, desk, answer)


async def check_stored(
    clinic: Clinic, operation: Operation, desk: Desk, text: str, fields: set[Field], answer: Answer
) -> None:
    """What was taken is given back exactly, at once and later."""
    read_back = EXAMPLES[operation.name].read_back
    if read_back is None:
        return
    target, reader = read_back(desk, answer.json)
    later = await clinic.client.ok("GET", target, token=reader.token)
    at_once = answer.json.get("file", answer.json)
    at_once = at_once.get("items", [at_once])[0]
    for (field,) in fields - {("password",)}:
        assert at_once[field] == text, (operation.name, field, text)
        assert later[field] == text, (operation.name, field, text)
    if ("password",) in fields:
        assert isinstance(later["email"], str)
        await clinic.login(later["email"], text)


async def test_in_every_field_of_every_body(
    clinic: Clinic,
    every_operation: list[Operation],
    desks: list[Desk],
    strings: list[str],
    suite: RunningSuite,
) -> None:
    taken: Counter[str] = Counter()
    with_text = [one for one in every_operation if one.has_body and one.text_fields()]
    for operation in with_text:
        if operation.name in _ELSEWHERE:
            continue  # logins have a test of their own; a reason to cancel goes with each booking

        texts = set(operation.text_fields())
        # A password that is also the name would be refused for that.
        secret = texts & {("password",)}
        for fields in [texts - secret, *([secret] if secret else [])]:
            await share(desks, strings, partial(try_body, clinic, operation, fields, taken))
    # Refusing all of them would be too easy.
    for free in ("POST /v1/appointments reason", "PUT /v1/doctors/{id} bio"):
        assert taken[free] == len(strings), taken
    for line in (
        "POST /v1/auth/register full_name",
        "PATCH /v1/users/me full_name",
        "PUT /v1/doctors/{id} specialty",
    ):
        assert taken[line] > 400, taken
    assert taken["POST /v1/files filename"] > 200, taken
    assert taken["POST /v1/auth/register password"] > 100, taken
    suite.audit()


async def test_as_names_of_members(clinic: Clinic, desks: list[Desk], strings: list[str]) -> None:
    async def do(desk: Desk, text: str) -> None:
        for name in ("POST /v1/auth/register", "POST /v1/appointments", "POST /v1/files"):
            example = EXAMPLES[name]
            token = example.caller(desk).token if example.caller is not None else None
            body = {**example.body(desk), text: text}
            answer = await clinic.client.call("POST", example.target(desk), body, token=token)
            assert (answer.status, answer.code) == (422, "validation_failed"), answer
        body = {"timezone": "UTC", "slot_minutes": 5, "weekly": {text: []}}
        target = f"/v1/schedules/{desk.doctor.id}"
        answer = await clinic.client.call("PUT", target, body, token=desk.doctor.token)
        assert (answer.status, answer.code) == (422, "validation_failed"), answer

    await share(desks, strings, do)


async def test_in_every_query(
    client: Client, every_operation: list[Operation], desks: list[Desk], strings: list[str]
) -> None:
    good = {"from": str(today()), "to": str(today()), "starts_at": at(1, 0)}
    by_code = {"bad_cursor": "cursor", "not_found": "appointment_id"}

    async def do(operation: Operation, desk: Desk, text: str) -> None:
        names = operation.parameters("query")
        caller = patient_of(desk) if "/files" in operation.path else let_in(desk, operation)
        fields: set[Field] = {(name,) for name in names}

        async def attempt(hostile: set[Field]) -> Answer:
            values = {**good, "appointment_id": desk.appointment, "doctor_id": desk.doctor.id}
            if operation.path == "/v1/users/audit":
                values |= {"from": at(0, 0), "to": at(1, 0)}  # moments, and no dates
            query = {name: values[name] for name in names if name in values}
            query |= {str(name): text for (name,) in hostile}
            target = _path(operation, desk)
            encoded = f"{target}?{urlencode(query)}"
            return await client.call(operation.method, encoded, token=caller.token)

        # What is too long together is tried one by one.
        together = len(quote(text)) * len(fields) < _LONGEST_QUERY
        for some in [fields] if together else [{field} for field in fields]:
            tried = set(some)
            answer = await settle(tried, attempt, partial(named_in_body, some, by_code))
            assert answer.status in (200, 302) or not tried, (operation.name, text, tried, answer)

    for operation in every_operation:
        # Of an erasure a person's query isn't even read: it is a service's alone.
        if operation.parameters("query") and "/erasures/" not in operation.path:
            await share(desks, strings, partial(do, operation))


def _path(operation: Operation, desk: Desk, **instead: str) -> str:
    ids = {
        "doctor_id": desk.doctor.id,
        "appointment_id": desk.appointment,
        "patient_id": desk.patient.id,
        "file_id": desk.file,
        "date": "2027-01-05",
        "id": desk.patient.id,
    }
    if operation.path.startswith("/v1/doctors"):
        ids["id"] = desk.doctor.id
    elif operation.path.startswith("/v1/appointments"):
        ids["id"] = desk.appointment
    return operation.path.format(**{**ids, **instead})


async def test_in_every_path(
    clinic: Clinic, every_operation: list[Operation], desks: list[Desk], strings: list[str]
) -> None:
    service = await clinic.service_token("appointments")
    for operation in every_operation:
        for name in operation.parameters("path"):

            async def do(
                desk: Desk, text: str, name: str = name, op: Operation = operation
            ) -> None:
                days = f"from={today()}&to={today()}&starts_at={at(1, 0)}"
                target = f"{_path(op, desk, **{name: quote(text, safe='')})}?{days}"
                of_services = op.path.endswith(("/contact", "/name"))
                token = service if of_services else let_in(desk, op).token
                body = example.body(desk) if (example := EXAMPLES.get(op.name)) else None
                if body is not None:
                    body.pop(name, None)  # it may be there as well
                answer = await clinic.client.call(op.method, target, body, token=token)
                expected = {404, 405}
                # The router takes no braces in a path's part.
                if name == "date" and text and not {*text} & {*"{}"}:
                    expected = {422}
                elif op.path.endswith(_EMPTY_FOR_UNKNOWN) and is_id(text):
                    expected = {200}
                elif "/erasures/" in op.path:
                    expected = {403, 404, 405}  # a service's alone
                assert answer.status in expected, answer

            await share(desks, strings, do)


async def test_in_headers(client: Client, desks: list[Desk], strings: list[str]) -> None:
    # A client that sends control characters has no HTTP to speak of: see the gateway's tests.
    legal = [text for text in strings if text.isprintable()]
    assert len(legal) > 400

    async def do(desk: Desk, text: str) -> None:
        token = desk.patient.token
        names = ("traceparent", "X-Amzn-Trace-Id", "X-Request-Id", "Accept", "Cookie", "Range")
        ignored = [(name, text) for name in names]
        answer = await client.call("GET", "/v1/doctors?limit=1", headers=ignored)
        assert answer.status == 200, answer
        if_match = [("If-Match", text)]
        answer = await client.call("PATCH", "/v1/users/me", {}, token=token, headers=if_match)
        assert answer.status in ((200,) if text.strip() == "*" else (400, 412)), answer
        content_type = [("Content-Type", text)]
        answer = await client.call("PATCH", "/v1/users/me", {}, token=token, headers=content_type)
        assert answer.status == 415, answer
        for value in (text, f"Bearer {text}", f"Bearer {token}{text}"):
            if value.strip() == f"Bearer {token}":
                continue
            authorization = [("Authorization", value)]
            answer = await client.call("GET", "/v1/users/me", headers=authorization)
            assert answer.status == 401, answer
        key = [("Idempotency-Key", text)]
        body = {"doctor_id": desk.doctor.id, "starts_at": at(7, 0)}
        is_key = text.isascii() and 1 <= len(text) <= 255 and " " not in text
        answer = await client.call("POST", "/v1/appointments", body, token=token, headers=key)
        assert answer.status == (201 if is_key else 400), answer
        if is_key:
            again = await client.call("POST", "/v1/appointments", body, token=token, headers=key)
            assert (again.status, again.body) == (201, answer.body)
            target = f"/v1/appointments/{answer.json['id']}/cancel"
            await client.ok("POST", target, token=token)

    await share(desks, legal, do)


def sources() -> Iterator[str]:
    """Addresses of this machine: failed logins are counted by address."""
    for number in range(250 * 250):
        yield f"127.20.{number // 250}.{number % 250 + 1}"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.0/8 is one address")
async def test_at_login(suite: RunningSuite, desks: list[Desk], strings: list[str]) -> None:
    address = sources()

    async def do(desk: Desk, text: str) -> None:
        good = {"email": desk.patient.email, "password": PASSWORD}
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(open_client(suite.gateway, next(address)))
            answer = await client.call("POST", "/v1/auth/login", {**good, "email": text})
            assert answer.status in (401, 422), answer
            answer = await client.call("POST", "/v1/auth/login", {**good, "password": text})
            assert answer.status in (401, 422), answer
            answer = await client.call("POST", "/v1/auth/login", {**good, "otp": text})
            assert answer.status in (200, 422), answer

    await share(desks, strings, do)
