"""Spans that are made, and what a collector gets of them."""

import subprocess
import sys
from threading import Event, Thread

import pytest

from telemetry import otel
from telemetry.propagation import is_traceparent, trace_id_of
from telemetry.tracing import BadEndpointError, is_wanted, open_tracing
from tests.telemetry.collector import Collector, collecting

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
WHO = {"service": "users", "version": "1", "instance": "users-1"}
SERVER, CLIENT = 2, 3
SAMPLED = 1


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://c"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, True),
        ({ENDPOINT: "http://c", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_a_collector_that_is_named_turns_them_on(environment: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environment) is wanted


def test_off_nothing_of_opentelemetry_is_loaded() -> None:
    program = f"""
import sys
from telemetry.tracing import open_tracing
with open_tracing(**{WHO}) as tracing:
    assert tracing is None
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={})  # noqa: S603 - our own


def test_steps_under_steps_reach_the_collector_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = f"00-{'a' * 32}-{'b' * 16}-01"
    with collecting() as collector:
        monkeypatch.setenv(ENDPOINT, collector.endpoint)
        with open_tracing(**WHO) as tracing:
            assert tracing is not None
            with tracing.span("server", "outer", {"size": 3}, traceparent=given) as outer:
                outer.set("more", "yes")
                with tracing.span("client", "inner", {}) as inner:
                    assert is_traceparent(inner.traceparent)
                    assert trace_id_of(inner.traceparent) == "a" * 32
    (one,), (two,) = collector.named("outer"), collector.named("inner")
    assert (one.service, one.kind, two.kind) == ("users", SERVER, CLIENT)
    assert (one.parent_id, two.parent_id) == ("b" * 16, one.span_id)
    assert {one.trace_id, two.trace_id} == {"a" * 32}
    assert one.attributes == {"size": "3", "more": "yes"}
    assert not one.is_failed


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> "Collector":
    """What came of a few steps, some of which failed."""
    with collecting() as collector:
        monkeypatch.setenv(ENDPOINT, collector.endpoint)
        with open_tracing(**WHO) as tracing:
            assert tracing is not None
            with tracing.span("server", "named", {}, trace_id="c" * 32):
                pass
            with tracing.span("server", "unnamed", {}):
                pass
            with pytest.raises(KeyError), tracing.span("server", "broken", {}):
                raise KeyError("secret@example.com")
            with tracing.span("client", "failed", {}) as span:
                span.fail("503")
            with tracing.span("server", "nonsense", {}, traceparent="nonsense"):
                pass
    return collector


def test_a_trace_that_begins_here_may_be_named(traced: Collector) -> None:
    assert [span.trace_id for span in traced.named("named")] == ["c" * 32]
    assert traced.named("unnamed")[0].trace_id not in ("c" * 32, "0" * 32)
    assert traced.named("nonsense")[0].parent_id == ""


def test_a_failure_is_named_and_not_quoted(traced: Collector) -> None:
    broken, failed = traced.named("broken")[0], traced.named("failed")[0]
    assert broken.is_failed
    assert broken.attributes["error.type"] == "KeyError"
    assert "secret" not in str(broken)
    assert failed.is_failed
    assert failed.attributes["error.type"] == "503"


def test_a_sampler_may_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv(ENDPOINT, collector.endpoint)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
        with open_tracing(**WHO) as tracing:
            assert tracing is not None
            with tracing.span("server", "unseen", {}) as span:
                assert int(span.traceparent[-2:], 16) & SAMPLED == 0
    assert collector.spans == []


def test_a_collector_that_never_answers_costs_no_request_and_no_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An exporter of this patience, and more spans than one batch: without a bound the end of the
    # process would wait for half an hour.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    monkeypatch.setattr(otel, "END_SECONDS", 0.1)
    ended = Event()

    def trace() -> None:
        with open_tracing(**WHO) as tracing:
            assert tracing is not None
            for _ in range(2000):
                with tracing.span("server", "lost", {}) as span:
                    assert is_traceparent(span.traceparent)
        ended.set()

    with collecting(silent=True) as collector:
        monkeypatch.setenv(ENDPOINT, collector.endpoint)
        Thread(target=trace, daemon=True).start()
        assert ended.wait(60)
    assert collector.spans == []


@pytest.mark.parametrize("text", ["collector:4318", "foo", "http://", "ftp://c"])
def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(ENDPOINT, text)
    with pytest.raises(BadEndpointError, match=ENDPOINT), open_tracing(**WHO):
        pass
