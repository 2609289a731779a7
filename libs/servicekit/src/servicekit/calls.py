"""What is asked of a store or of another service: counted, timed, and traced.

The label `operation` has few values: an operation's name or a path's pattern, never what was asked
for.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import Literal, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from telemetry.metrics import SECONDS
from telemetry.tracing import Attributes, Span, Tracing

Result = Literal["ok", "refused", "conflict", "throttled", "failed"]
"""How a call ended: done; a condition of ours didn't hold, or nothing is there; another's change
came in between; too many calls; anything else, no answer in time among it."""

Classify = Callable[[BaseException], Result]


class CallMetrics:
    """The metrics of all calls of a kind: `store_calls_total{store,operation,result}` and so on."""

    def __init__(self, registry: CollectorRegistry, kind: Literal["store", "peer"]) -> None:
        self.registry = registry
        self.calls = Counter(
            f"{kind}_calls", "Calls ended", [kind, "operation", "result"], registry=registry
        )
        self.seconds = Histogram(
            f"{kind}_call_duration_seconds",
            "Time to a call's end",
            [kind, "operation"],
            buckets=SECONDS,
            registry=registry,
        )
        self.retries = Counter(
            f"{kind}_retries", "Calls made again, and why", [kind, "reason"], registry=registry
        )
        self.in_flight = Gauge(
            f"{kind}_calls_in_flight", "Calls not ended", [kind], registry=registry
        )


class Calls:
    """The calls to one store, or to one other service.

    Args:
        target: whom: the label `store` or `peer`.
        classify: what an exception of the client means.
        attributes: of each call's span.
    """

    def __init__(
        self,
        metrics: CallMetrics,
        target: str,
        *,
        classify: Classify,
        tracing: Tracing | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        self.target = target
        self.classify = classify
        self.tracing = tracing
        self.attributes: Mapping[str, str | int] = attributes or {}
        self.registry = metrics.registry
        self.in_flight = metrics.in_flight.labels(target)
        self._metrics = metrics
        # labels() costs more than the count itself; the children are few and live on.
        self._counters: dict[tuple[str, Result], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def call(self, operation: str) -> "Call":
        """One call, while the context lives."""
        return Call(self, operation)

    def retried(self, reason: Result) -> None:
        """A call is made again, because the last one ended like this."""
        self._metrics.retries.labels(self.target, reason).inc()

    def ended(self, operation: str, result: Result, seconds: float) -> None:
        """Counts one call."""
        counter = self._counters.get((operation, result))
        if counter is None:
            counter = self._metrics.calls.labels(self.target, operation, result)
            self._counters[operation, result] = counter
        counter.inc()
        histogram = self._histograms.get(operation)
        if histogram is None:
            histogram = self._metrics.seconds.labels(self.target, operation)
            self._histograms[operation] = histogram
        histogram.observe(seconds)


class Call:
    """One call, as a context manager; `result` may be set before it ends without an exception.

    Attributes:
        span: of the call, None where nothing is traced.
    """

    __slots__ = ("_began", "_calls", "_operation", "_step", "result", "span")

    def __init__(self, calls: Calls, operation: str) -> None:
        self._calls = calls
        self._operation = operation
        self._step: AbstractContextManager[Span] | None = None
        self.span: Span | None = None
        self.result: Result = "ok"

    def __enter__(self) -> Self:
        calls = self._calls
        calls.in_flight.inc()
        if calls.tracing is not None:
            name = f"{calls.target} {self._operation}"
            self._step = calls.tracing.span("client", name, calls.attributes)
            self.span = self._step.__enter__()
        self._began = perf_counter()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        calls = self._calls
        seconds = perf_counter() - self._began
        calls.in_flight.dec()
        if error is not None:
            self.result = calls.classify(error)
        calls.ended(self._operation, self.result, seconds)
        if self._step is not None and self.span is not None:
            self.span.set("result", self.result)
            if self.result == "failed":
                self.span.fail(type(error).__name__ if error is not None else self.result)
            # Ended as if nothing had been raised: a refusal is an answer, and no failed step.
            self._step.__exit__(None, None, None)
