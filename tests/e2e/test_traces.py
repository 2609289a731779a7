"""One request, followed through every process that it reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import open_client
from tests.e2e.clinic import Clinic
from tests.e2e.examples import Desk, make_desk
from tests.e2e.running import RunningSuite, running_suite
from tests.telemetry.collector import Collector, Span, collecting


class Traced:
    """A suite whose spans are collected."""

    def __init__(self, suite: RunningSuite, collector: Collector) -> None:
        self.suite = suite
        self.collector = collector

    def traces_with(self, name: str) -> list[list[Span]]:
        """The spans of each trace that has a span of this name."""
        ids = dict.fromkeys(span.trace_id for span in self.collector.named(name))
        return [[s for s in self.collector.spans if s.trace_id == one] for one in ids]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """What came of a doctor's hours, a booking, and a report that is uploaded to it."""
    with collecting() as collector:
        directory = tmp_path_factory.mktemp("traces") / "run"
        # Spans are sent in batches; so soon that nobody waits for them here.
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with running_suite(directory, **settings) as suite:
            asyncio.run(upload(suite))
        yield Traced(suite, collector)  # the suite has ended, and so all was sent


async def upload(suite: RunningSuite) -> Desk:
    async with open_client(suite.gateway) as client:
        clinic = Clinic(client, suite)
        return await make_desk(clinic, await clinic.admin())


def steps(trace: list[Span]) -> set[tuple[str, str]]:
    return {(span.service, span.name) for span in trace}


def assert_connected(trace: list[Span]) -> None:
    """One begins it, at the gateway, and each other one comes under one of them."""
    known = {span.span_id for span in trace}
    roots = [span for span in trace if span.parent_id not in known]
    assert [(root.service, root.parent_id) for root in roots] == [("gateway", "")]


def test_uploading_a_report_is_one_connected_trace(traced: Traced) -> None:
    (trace,) = traced.traces_with("POST /v1/files")
    assert_connected(trace)
    assert steps(trace) >= {
        ("gateway", "POST /v1/files"),
        ("files", "POST /v1/files"),
        ("files", "appointments GET /v1/appointments/{id}"),
        ("gateway", "GET /v1/appointments/*"),
        ("appointments", "GET /v1/appointments/{id}"),
        ("appointments", "dynamodb GetItem"),
        ("files", "s3 PutObject"),
    }
    (complete,) = traced.traces_with("POST /v1/files/{appointment_id}/{file_id}/complete")
    assert_connected(complete)
    assert {("files", "s3 GetObject"), ("files", "s3 CopyObject")} <= steps(complete)


def test_a_booking_asks_users_and_the_store_in_one_trace(traced: Traced) -> None:
    trace = traced.traces_with("dynamodb TransactWriteItems")[-1]
    assert_connected(trace)
    assert ("gateway", "POST /v1/appointments") in steps(trace)
    login = traced.traces_with("POST /v1/auth/login")[0]
    assert_connected(login)
    assert ("users", "sqlite SELECT users") in steps(login)


def test_the_logs_of_all_processes_have_the_traces_name(traced: Traced) -> None:
    (trace,) = traced.traces_with("POST /v1/files")
    named = [
        (event["service"], event["route"])
        for _, event in traced.suite.logged_since({})
        if event.get("trace_id") == trace[0].trace_id and event["event"] == "request"
    ]
    assert sorted(named) == [
        ("appointments", "GET /v1/appointments/{id}"),
        ("files", "POST /v1/files"),
        ("gateway", "/v1/appointments/*"),
        ("gateway", "/v1/files"),
    ]


def test_nothing_of_what_was_sent_is_in_a_trace(traced: Traced, tmp_path: Path) -> None:
    told = str(traced.collector.spans)
    for secret in ("Bearer", "eyJ", "@", "password", "127.0.0.1:8080/v1", "?"):
        assert secret not in told, secret
