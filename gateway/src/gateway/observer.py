"""What is seen of each request from outside: counts, a line of the log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.accesslog import AccessLog
from gateway.exchange import Exchange
from gateway.metrics import NO_SERVICE, Metrics
from routetable import Route

UNROUTED: Final = "unrouted"


class Observer:
    """Watches requests. They are named by the pattern of their route: a path may hold a secret."""

    def __init__(self, metrics: Metrics, access_log: AccessLog | None) -> None:
        """Count, and write where there is something to write to."""
        self._metrics = metrics
        self._access_log = access_log

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
            yield
        finally:
            seconds = time.perf_counter() - started
            counts.in_flight.dec()
            counts.answered(exchange.status, seconds)
            if exchange.own:
                self._metrics.answered_itself(exchange.status)
            if self._access_log is not None:
                self._access_log.write(_line(exchange, route, exchange.status, seconds))


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
