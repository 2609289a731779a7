"""What instances count is bounded, whatever they are asked."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.client import Client
from tests.e2e.clinic import Clinic
from tests.e2e.documents import Operation
from tests.e2e.running import SCALE, RunningSuite

ON_EVERY_INSTANCE = {"GET /health", "GET /health/dependencies", "GET /metrics"}

# Each label, and what its values look like. A new label needs a line here, which says its bound.
VALUES = {
    "service": "test|users|appointments|files",
    "version": r"\d+\.\d+\.\d+",
    "revision": "unknown|[0-9a-f]{40}",
    "status": r"[2345]\d\d",
    "code": "[a-z]+(_[a-z]+)*",
    "store": "dynamodb|s3|sqlite|mysql|ses",
    "peer": "users|appointments|files",
    "operation": r"(GET|POST|DELETE) /[a-z0-9/{}_-]+|[A-Z][A-Za-z]+( [a-z_]+)?",
    "result": "ok|refused|conflict|throttled|failed|sent|unsent|gone|stale"
    "|made|accepted|lapsed|withdrawn",
    "reason": "conflict|throttled|failed|refused",
    "state": "in_use|idle",
    "kind": "booked|moved|cancelled|reminder",
    "change": "booked|overridden|moved|checked_in|completed|cancelled|no_show",
    "le": r"[0-9.]+|\+Inf",
}


async def scrape(suite: RunningSuite, service: str) -> list[str]:
    """The metrics of each instance of a service."""
    async with aiohttp.ClientSession() as session:
        texts = []
        for address in suite.state["instances"][service]:
            async with session.get(f"{address}/metrics") as answer:
                assert answer.headers["Content-Type"].startswith("text/plain")
                texts.append(await answer.text())
    return texts


def values(texts: list[str]) -> dict[str, set[str]]:
    """All values of each label."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                for label, value in sample.labels.items():
                    found[label].add(value)
    return found


def hostile() -> Iterator[tuple[str, str]]:
    for n in range(30):
        for path in (f"/v1/users/{n}x", f"/v1/doctors/{n}", f"/v1/slots/{n}", f"/v1/auth/{n}"):
            yield "GET", path
        yield "DELETE", f"/v1/appointments/{n}"
        yield "PROPFIND", f"/v1/files/{n}/y"
        yield "PUT", f"/v1/schedules/{n}/overrides/2026-{n}"


@pytest.mark.parametrize("service", SCALE)
async def test_label_values_are_bounded_whatever_is_asked_for(
    suite: RunningSuite, client: Client, every_operation: list[Operation], service: str
) -> None:
    for method, path in hostile():
        await client.send(method, path)
    found = values(await scrape(suite, service))
    routes = found.pop("route")
    documented = {f"{one.method.upper()} {one.path}" for one in every_operation}
    documented |= {route.replace("GET ", "HEAD ", 1) for route in documented}
    documents = {f"GET /v1/openapi/{name}.json" for name in SCALE}
    assert routes <= documented | documents | ON_EVERY_INSTANCE | {"unrouted", "preflight"}
    assert "unrouted" in routes
    for label, texts in found.items():
        wrong = {text for text in texts if not re.fullmatch(VALUES[label], text)}
        assert not wrong, (label, wrong)
    assert len(found["operation"]) < 80
    assert len(found["code"]) < 80


async def test_what_happens_is_counted(suite: RunningSuite, clinic: Clinic) -> None:
    patient = await clinic.patient()
    text = "".join(await scrape(suite, "users"))
    for line in (
        'http_requests_total{route="POST /v1/auth/login",status="200"}',
        'http_request_duration_seconds_count{route="POST /v1/auth/register",status="201"}',
        'store_calls_total{operation="SELECT users",result="ok",store="sqlite"}',
        'store_pool_connections{state="idle",store="sqlite"}',
        "password_hashes_waiting 0.0",
        "event_loop_lag_seconds_count",
        "process_resident_memory_bytes",
    ):
        assert line in text, line
    assert patient.email not in text
    assert patient.id not in text
