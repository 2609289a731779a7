"""What is logged of a request: by whose hand, of which route, and nothing that was sent."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.servicekit.conftest import Kit

QUERY = {"colour": "hunter2", "hunter2": "1"}


async def logged_of(kit: Kit, method: str, path: str, **more: Any) -> list[Any]:
    with capture_logs() as events:
        await kit.client.request(method, path, **more)
    return list(events)


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/v1/things/hunter2", "GET /v1/things/{id}", 200),
        ("GET", "/v1/things/hunter2%20", "GET /v1/things/{id}", 404),
        ("HEAD", "/v1/things/hunter2", "HEAD /v1/things/{id}", 200),
        ("POST", "/v1/things", "POST /v1/things", 422),
        ("PATCH", "/v1/things/hunter2", "unrouted", 405),
        ("GET", "/hunter2", "unrouted", 404),
    ],
)
async def test_a_request_is_told_by_its_route(
    kit: Kit, method: str, path: str, route: str, status: int
) -> None:
    body = {"json": {"hunter2": "hunter2"}} if method == "POST" else {}
    [line] = await logged_of(kit, method, path, params=QUERY, **body)
    assert (line["event"], line["log_level"], line["route"]) == ("request", "info", route)
    assert (line["status"], line["caller"]) == (status, None)
    assert line["duration_ms"] >= 0
    assert "hunter2" not in json.dumps(line).lower()


async def test_a_caller_is_told_by_the_id(kit: Kit) -> None:
    who = kit.auth("ann", "patient", name="Hunter2")
    [line] = await logged_of(kit, "GET", "/v1/things/a", headers=who)
    assert line["caller"] == "ann"
    assert "hunter2" not in json.dumps(line).lower()


async def test_a_caller_who_may_not_is_told_as_well(kit: Kit) -> None:
    who = kit.auth("ann", "patient")
    [line] = await logged_of(kit, "POST", "/v1/things/a/touch", headers=who)
    assert (line["status"], line["caller"]) == (403, "ann")


async def test_a_failing_dependency_is_told_with_its_reason(kit: Kit) -> None:
    failure, line = await logged_of(kit, "GET", "/v1/failures/away")
    assert (failure["event"], failure["log_level"]) == ("dependency failed", "warning")
    assert (failure["code"], failure["reason"]) == ("store_unavailable", "no route")
    assert isinstance(failure["exc_info"], Exception)
    assert line["status"] == 503


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_what_load_balancers_and_scrapers_ask_is_not_logged(
    kit: Kit, method: str, path: str
) -> None:
    assert await logged_of(kit, method, path) == []
