"""The logs of everything that can be done tell what they must, and nothing of anybody."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.e2e.canary_faults import CanaryFaults
from tests.e2e.canary_walk import CanaryWalk
from tests.e2e.client import open_client
from tests.e2e.documents import Operation
from tests.e2e.logs import JWT, SIGNED, Canaries, line_faults, secrets_of
from tests.e2e.running import SCALE, RunningSuite


@dataclass(frozen=True)
class Told:
    """What was logged meanwhile, as (whose log, line), and what must not be in it."""

    lines: list[tuple[str, str]]
    canaries: Canaries

    def lines_of(self, *services: str) -> list[tuple[str, str]]:
        return [(name, line) for name, line in self.lines if name.rpartition("-")[0] in services]


@pytest.fixture(scope="module")
def told(suite: RunningSuite) -> Told:
    """The whole walk, once for all tests here."""

    async def walk() -> Canaries:
        await suite.until_whole()
        async with open_client(suite.gateway) as client:
            walk = CanaryWalk(client, suite, Canaries())
            await CanaryFaults(client, suite, walk, await walk.run()).run()
            return walk.canaries

    positions = suite.log_positions()
    canaries = asyncio.run(walk())
    return Told(list(suite.written_since(positions)), canaries)


@pytest.fixture(scope="module")
def routes(every_operation: list[Operation]) -> set[str]:
    """What a request's `route` may be."""
    named = {one.name for one in every_operation}
    named |= {f"GET /v1/openapi/{service}.json" for service in SCALE}
    return {"unrouted", *named, *(f"HEAD {name[4:]}" for name in named if name.startswith("GET "))}


@pytest.mark.parametrize("services", [tuple(SCALE), ("gateway",), ("emulator",)], ids=str)
def test_nothing_that_anybody_sent_or_was_given_is_logged(
    told: Told, services: tuple[str, ...]
) -> None:
    lines = [row for row in told.lines if row[0].partition("-")[0] in services]
    assert lines or services == ("emulator",)  # which says nothing but warnings
    found = [f"{what}: {line}" for _, line in lines for what in told.canaries.found_in(line)]
    assert not found, found[:20]


def test_nothing_signed_is_logged(told: Told) -> None:
    found = [line for _, line in told.lines if JWT.search(line) or SIGNED.search(line)]
    assert not found, found[:20]


def test_no_secret_is_in_any_log_of_the_whole_run(suite: RunningSuite, told: Told) -> None:
    everything = "\n".join(line for _, line in suite.written_since({}))
    assert all(line in everything for _, line in told.lines[:100])
    secrets = secrets_of(suite.run.secrets)
    assert {"sealing-key:1", "admin-password:1", "appointments-private.pem:2"} <= secrets.keys()
    assert [name for name, secret in secrets.items() if secret in everything] == []


def test_every_line_of_the_services_is_as_it_must_be(told: Told, routes: set[str]) -> None:
    lines = told.lines_of(*SCALE)
    assert {name for name, _ in lines} == {
        f"{service}-{n}" for service, count in SCALE.items() for n in range(1, count + 1)
    }
    faults = [f"{fault}: {line}" for _, line in lines for fault in line_faults(line, routes)]
    assert not faults, faults[:20]
    for name, line in lines:
        event = json.loads(line)
        assert (event["instance"], event["service"]) == (name, name.rpartition("-")[0])


def test_the_walk_has_gone_everywhere(told: Told, routes: set[str]) -> None:
    """What is not logged can't be clean: every operation was asked for, and failures were told."""
    events = [json.loads(line) for _, line in told.lines_of(*SCALE)]
    seen = {event["route"] for event in events if event["event"] == "request"}
    assert {name for name in routes if not name.startswith("HEAD ")} - seen == set()
    assert {event["status"] for event in events if event["event"] == "request"} >= {
        *(200, 201, 204, 302, 400, 401, 403, 404, 405, 409, 413, 415, 422, 503)
    }
    failures = [event for event in events if "exception" in event]
    assert {event["service"] for event in failures} == {"appointments", "files"}
    assert {event["code"] for event in failures} >= {
        *("store_unavailable", "users_unavailable", "appointments_unavailable")
    }


def test_every_line_of_the_gateway_is_as_it_must_be(told: Told) -> None:
    lines = [line for name, line in told.lines if name == "gateway"]
    faults = [f"{fault}: {line}" for line in lines for fault in line_faults(line, None)]
    assert not faults, faults[:20]


NAME = 'Zoë "Zo" {} d\'Été 王'


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        str.upper,
        lambda text: text.partition("Zo")[2],
        json.dumps,
        lambda text: json.dumps({"message": json.dumps({"name": text})}),
        lambda text: json.dumps({"message": text}, ensure_ascii=False),
        lambda text: f"path={quote(text)}",
        lambda text: b64encode(text.encode()).decode(),
        lambda text: b64encode(b"a" + text.encode()).decode(),
        lambda text: b64encode(b"ab" + text.encode() + b"abc").decode(),
        lambda text: text.encode().hex(),
        repr,
        lambda text: str(text.encode()),
    ],
)
def test_a_canary_is_found_however_it_is_written(written: object) -> None:
    assert callable(written)
    canaries = Canaries()
    name = canaries.plant("a name", NAME)
    line = json.dumps({"event": "request"})
    assert canaries.found_in(line) == []
    assert canaries.found_in(f"{line}\n{written(name)}\n{line}") != []


GOOD = {
    "time": "2026-01-31T09:30:00.000+00:00",
    "level": "info",
    "event": "request",
    "service": "users",
    "version": "1",
    "instance": "users-1",
    "request_id": "a",
    "trace_id": "b",
    "route": "GET /a",
    "status": 200,
    "duration_ms": 0.5,
    "caller": None,
}


@pytest.mark.parametrize("name", GOOD)
def test_a_line_without_one_of_its_fields_is_found(name: str) -> None:
    assert line_faults(json.dumps(GOOD), {"GET /a"}) == []
    less = {key: value for key, value in GOOD.items() if key != name}
    # Without its event it is no request's line, and needs no more than any other.
    assert line_faults(json.dumps(less), {"GET /a"}) != []


@pytest.mark.parametrize(
    "more",
    [
        {"time": "yesterday"},
        {"time": "2026-01-31T09:30:00"},
        {"level": "critical"},
        {"route": "GET /a/b"},
        {"status": "200"},
    ],
)
def test_a_line_with_a_wrong_field_is_found(more: dict[str, str]) -> None:
    assert line_faults(json.dumps({**GOOD, **more}), {"GET /a"}) != []


def test_a_line_that_is_no_event_is_found() -> None:
    assert line_faults("Traceback (most recent call last):", set()) != []
    assert line_faults("[]", set()) != []
