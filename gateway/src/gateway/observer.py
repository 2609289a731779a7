"""What is seen of each request from outside: counts, a line of the log, a span."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.accesslog import AccessLog
from gateway.exchange import Exchange
from gateway.heads import OTHER_METHOD
from gateway.metrics import NO_SERVICE, Metrics
from routetable import Route
from telemetry.propagation import is_traceparent
from telemetry.tracing import Span, Tracing

UNROUTED: Final = "unrouted"


class Observer:
    """Watches requests. They are named by the pattern of their route: a path may hold a secret."""

    def __init__(
        self, metrics: Metrics, access_log: AccessLog | None, tracing: Tracing | None
    ) -> None:
        """Count, and write and trace where there is something to do it with."""
        self._metrics = metrics
        self._access_log = access_log
        self._tracing = tracing

    def refused(self, status: int) -> None:
        """See a request whose head could not be read, so that nothing is known of it."""
        self._metrics.of(NO_SERVICE).answered(status, 0.0)
        self._metrics.answered_itself(status)
        if self._access_log is not None:
            self._access_log.write(_line(None, None, status, 0.0))

    @contextmanager
    def watching(self, exchange: Exchange, route: Route | None) -> Iterator[None]:
        """See a request from its head to the end of its answer, which the context surrounds."""
        counts = self._metrics.of(route.service if route else NO_SERVICE)
        counts.in_flight.inc()
        started = time.perf_counter()
        try:
            if self._tracing is None:
                yield
            else:
                with self._traced(self._tracing, exchange, route):
                    yield
        finally:
            seconds = time.perf_counter() - started
            counts.in_flight.dec()
            counts.answered(exchange.status, seconds)
            if exchange.own:
                self._metrics.answered_itself(exchange.status)
            if self._access_log is not None:
                self._access_log.write(_line(exchange, route, exchange.status, seconds))

    @contextmanager
    def _traced(self, tracing: Tracing, exchange: Exchange, route: Route | None) -> Iterator[None]:
        """Make the request a span, named as OpenTelemetry's "HTTP spans" say."""
        method = exchange.method
        name = "HTTP" if method == OTHER_METHOD else method
        attributes: dict[str, str | int] = {"http.request.method": method, "url.scheme": "http"}
        if route is not None:
            name = f"{name} {route.pattern}"
            attributes["http.route"] = route.pattern
        given = exchange.given_traceparent
        with tracing.span(
            "server",
            name,
            attributes,
            traceparent=given if is_traceparent(given) else "",
            trace_id=exchange.trace_id,
        ) as span:
            exchange.traceparent = span.traceparent
            try:
                yield
            finally:
                _describe(span, exchange)


def _describe(span: Span, exchange: Exchange) -> None:
    span.set("http.response.status_code", exchange.status)
    if exchange.target is not None:
        # Not server.address, which is the address that the client asked.
        span.set("gateway.target", exchange.target.url)
    if exchange.status >= 500:
        span.fail(str(exchange.status))


def _line(
    exchange: Exchange | None, route: Route | None, status: int, seconds: float
) -> dict[str, object]:
    target = exchange.target if exchange else None
    return {
        "request_id": exchange.request_id if exchange else None,
        "trace_id": exchange.trace_id if exchange else None,
        "method": exchange.method if exchange else None,
        "route": route.pattern if route else UNROUTED,
        "routed_to": route.service if route else None,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "target": target.url if target else None,
        "target_status": exchange.target_status if exchange else None,
    }
