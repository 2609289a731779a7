"""A span a request, where a collector is named."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from telemetry.otel import OpenTelemetryTracing, new_provider
from tests.gateway.conftest import StartGateway
from tests.gateway.processes import running
from tests.gateway.support import DEADLINE, Recorder, World, exchange, get, read_all
from tests.telemetry.collector import collecting

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"
ROOT_LINE = f"X-Amzn-Trace-Id: {ROOT}"


class Traced:
    """A tracing whose spans stay here."""

    def __init__(self) -> None:
        """Begin without any."""
        self._exporter = InMemorySpanExporter()
        self.provider = new_provider(
            SimpleSpanProcessor(self._exporter), service="gateway", version="1", instance="1"
        )
        self.tracing = OpenTelemetryTracing(self.provider)

    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended."""
        return list(self._exporter.get_finished_spans())

    def span(self) -> ReadableSpan:
        """The only one."""
        (span,) = self.spans()
        return span


@pytest.fixture
def traced() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.provider.shutdown()


def ids(span: ReadableSpan) -> tuple[str, str]:
    """A span's trace id and its own, in hex."""
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def header(head: bytes, name: bytes) -> list[str]:
    """The values of a header of a target's request."""
    fields = [line.partition(b": ") for line in head.split(b"\r\n")]
    return [value.decode() for each, _, value in fields if each.lower() == name]


async def test_a_span_is_named_by_method_and_pattern(
    world: World, start_gateway: StartGateway, traced: Traced
) -> None:
    url = await world.target(Recorder())
    gateway = await start_gateway(users=[url], tracing=traced.tracing)
    await exchange(gateway, get("/v1/users/s3cret?token=s3cret", "X-Forwarded-For: 203.0.113.77"))
    span = traced.span()
    assert (span.name, span.kind) == ("GET /v1/users/*", SpanKind.SERVER)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "/v1/users/*",
        "http.response.status_code": 200,
        "gateway.target": url,
    }
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ({"method": "S3CRET", "path": "/v1/users/1"}, ("HTTP /v1/users/*", "_OTHER")),
        ({"method": "S3CRET", "path": "/s3cret"}, ("HTTP", "_OTHER")),
        ({"method": "POST", "path": "/s3cret"}, ("POST", "POST")),
    ],
)
async def test_no_client_chooses_a_name(
    start_gateway: StartGateway,
    traced: Traced,
    request_line: dict[str, Any],
    expected: tuple[str, str],
) -> None:
    await exchange(await start_gateway(tracing=traced.tracing), get(**request_line))
    span = traced.span()
    assert (span.name, (span.attributes or {})["http.request.method"]) == expected


async def test_the_target_comes_under_the_gateways_span_and_that_under_the_clients(
    world: World, start_gateway: StartGateway, traced: Traced
) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)], tracing=traced.tracing)
    await exchange(
        gateway, get("/v1/users", f"traceparent: {PARENT}", "tracestate: a=1", ROOT_LINE)
    )
    span = traced.span()
    trace, own = ids(span)
    assert trace == "0af7651916cd43dd8448eb211c80319c"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    (head,) = recorder.heads
    assert header(head, b"traceparent") == [f"00-{trace}-{own}-01"]
    assert header(head, b"tracestate") == ["a=1"]
    (amzn,) = header(head, b"x-amzn-trace-id")
    assert amzn.startswith("Self=1-")
    assert amzn.endswith(";" + ROOT)


@pytest.mark.parametrize("given", [[], ["traceparent: 00-nonsense", "tracestate: a=1"]])
async def test_a_trace_that_begins_here_is_called_as_its_root(
    world: World, start_gateway: StartGateway, traced: Traced, given: list[str]
) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)], tracing=traced.tracing)
    await exchange(gateway, get("/v1/users", ROOT_LINE, *given))
    await exchange(gateway, get("/v1/users", *given))
    named, new = [ids(span)[0] for span in traced.spans()]
    assert named == "5759e988bd862e3fe1be46a994272793"
    (amzn,) = header(recorder.heads[1], b"x-amzn-trace-id")
    assert amzn == f"Root=1-{new[:8]}-{new[8:]}"
    assert header(recorder.heads[1], b"tracestate") == []  # of a trace that is none
    (parent,) = header(recorder.heads[1], b"traceparent")
    assert parent[3:35] == new


async def test_an_answer_of_5xx_is_an_error_and_one_of_4xx_is_not(
    start_gateway: StartGateway, traced: Traced
) -> None:
    gateway = await start_gateway(tracing=traced.tracing)
    await exchange(gateway, get("/v1/users"))
    await exchange(gateway, get("/nowhere"))
    unavailable, unrouted = traced.spans()
    assert unavailable.status.status_code is StatusCode.ERROR
    assert (unavailable.attributes or {})["error.type"] == "503"
    assert unrouted.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("given", [[], ["traceparent: 00-nonsense"], [f"traceparent: {PARENT}"]])
async def test_without_tracing_the_header_goes_on_as_it_came(
    world: World, start_gateway: StartGateway, given: list[str]
) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)])
    await exchange(gateway, get("/v1/users", *given))
    assert [f"traceparent: {each}" for each in header(recorder.heads[0], b"traceparent")] == given


async def test_a_process_sends_its_spans_before_it_ends(world: World) -> None:
    world.register()
    with collecting() as collector:
        async with running(world, collector.endpoint) as (process, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get("/v1/users", ROOT_LINE))
            await read_all(reader)
            writer.close()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), DEADLINE) == 0
        (span,) = collector.spans
    assert (span.service, span.name, span.is_failed) == ("gateway", "GET /v1/users", True)
    assert span.trace_id == "5759e988bd862e3fe1be46a994272793"
