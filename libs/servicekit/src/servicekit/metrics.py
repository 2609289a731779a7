"""What an instance counts, in Prometheus' text format.

Label values are bounded: routes, never paths.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One registry an app, so that two apps in one process (tests) don't share counts."""

    def __init__(self, service: str, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "http_requests", "Requests answered", ["route", "status"], registry=self.registry
        )
        self._duration = Histogram(
            "http_request_duration_seconds",
            "Time to the answer",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight", "Requests being served", registry=self.registry
        )
        build = Gauge("build_info", "What runs", ["service", "version"], registry=self.registry)
        build.labels(service, version).set(1)
        # labels() costs more than the count itself; the children are few and live on.
        self._counters: dict[tuple[str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        counter = self._counters.get((route, status))
        if counter is None:
            counter = self._counters[route, status] = self._requests.labels(route, str(status))
        counter.inc()
        histogram = self._histograms.get(route)
        if histogram is None:
            histogram = self._histograms[route] = self._duration.labels(route)
        histogram.observe(seconds)

    def expose(self) -> bytes:
        """The registry as text."""
        return generate_latest(self.registry)
