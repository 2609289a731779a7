"""Tracing that keeps its spans where tests can see them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from telemetry.propagation import trace_id_of
from telemetry.tracing import Attributes, Kind


@dataclass
class KeptSpan:
    """Implements telemetry.tracing.Span."""

    kind: Kind
    name: str
    number: int
    trace_id: str
    parent: str
    attributes: dict[str, str | int]
    failure: str | None = None
    is_ended: bool = False

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.number:016x}-01"

    def set(self, name: str, value: str | int) -> None:
        self.attributes[name] = value

    def fail(self, kind: str) -> None:
        self.failure = kind


@dataclass
class KeptTracing:
    """Implements telemetry.tracing.Tracing."""

    spans: list[KeptSpan] = field(default_factory=list)

    @contextmanager
    def span(
        self,
        kind: Kind,
        name: str,
        attributes: Attributes,
        *,
        traceparent: str = "",
        trace_id: str | None = None,
    ) -> Iterator[KeptSpan]:
        number = len(self.spans) + 1
        called = trace_id_of(traceparent) if traceparent else trace_id or f"{number:032x}"
        span = KeptSpan(kind, name, number, called, traceparent, dict(attributes))
        self.spans.append(span)
        try:
            yield span
        except BaseException as error:
            span.fail(type(error).__name__)
            raise
        finally:
            span.is_ended = True
