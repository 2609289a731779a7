"""Tracing by OpenTelemetry's SDK, which sends spans in the background (OTLP over HTTP)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Thread
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from telemetry.tracing import Attributes, Kind, Tracing

_KINDS: Final = {"server": trace.SpanKind.SERVER, "client": trace.SpanKind.CLIENT}
_FORMAT: Final = TraceContextTextMapPropagator()

END_SECONDS: Final = 3.0
"""For how long a process that ends waits until its last spans are sent."""

_wanted_trace_id: ContextVar[str | None] = ContextVar("wanted_trace_id", default=None)


class _NamedTraces(RandomIdGenerator):
    """Calls a trace what the load balancer called it, where it did."""

    def generate_trace_id(self) -> int:
        wanted = _wanted_trace_id.get()
        return int(wanted, 16) if wanted else super().generate_trace_id()


class OpenTelemetrySpan:
    """See telemetry.tracing.Span."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """See Span."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, name: str, value: str | int) -> None:
        """See Span."""
        self._span.set_attribute(name, value)

    def fail(self, kind: str) -> None:
        """See Span."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(trace.StatusCode.ERROR)


class OpenTelemetryTracing:
    """See telemetry.tracing.Tracing."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("telemetry")

    @contextmanager
    def span(
        self,
        kind: Kind,
        name: str,
        attributes: Attributes,
        *,
        traceparent: str = "",
        trace_id: str | None = None,
    ) -> Iterator[OpenTelemetrySpan]:
        """See Tracing."""
        parent: Context | None = None
        if traceparent:
            parent = _FORMAT.extract({"traceparent": traceparent}, Context())
        wanted = _wanted_trace_id.set(trace_id)
        try:
            span = self._tracer.start_span(name, parent, _KINDS[kind], attributes)
        finally:
            _wanted_trace_id.reset(wanted)
        step = OpenTelemetrySpan(span)
        # What an exception says may hold what was sent, so its name is all that is recorded.
        with trace.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield step
            except BaseException as error:
                step.fail(type(error).__name__)
                raise


def new_provider(
    processor: SpanProcessor, *, service: str, version: str, instance: str
) -> TracerProvider:
    """A provider that hands its spans to this processor. The sampler is the environment's."""
    resource = Resource.create(
        {
            "service.namespace": "appointments-platform",
            "service.name": service,
            "service.version": version,
            "service.instance.id": instance,
        }
    )
    provider = TracerProvider(
        resource=resource, id_generator=_NamedTraces(), shutdown_on_exit=False
    )
    provider.add_span_processor(processor)
    return provider


@contextmanager
def open_opentelemetry(*, service: str, version: str, instance: str) -> Iterator[Tracing]:
    """Tracing to the collector that the environment names. The end waits END_SECONDS at most."""
    # The client of HTTP logs every connection that failed, with all that it tried; that spans were
    # lost is the exporter's to say, which it does once for each batch.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    processor = BatchSpanProcessor(OTLPSpanExporter())
    provider = new_provider(processor, service=service, version=version, instance=instance)
    try:
        yield OpenTelemetryTracing(provider)
    finally:
        # A collector that is away must not keep a process from ending: it would be killed.
        end = Thread(target=provider.shutdown, name="last spans", daemon=True)
        end.start()
        end.join(END_SECONDS)
