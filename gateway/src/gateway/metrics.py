"""What the gateway counts, in Prometheus' text format.

Label values are bounded: a service, a known status, a state; nothing that a client can choose.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.answers import UNREGISTERED
from gateway.targets import TargetGroup, TargetState
from telemetry.metrics import SECONDS

NO_SERVICE: Final = "none"
OTHER_STATUS: Final = "other"

_STATUSES: Final = frozenset(map(int, HTTPStatus)) | UNREGISTERED


class _ByStatus:
    """The children of a counter that differ by their last label, the status.

    `labels()` of the client library costs more than a count, so each child is asked for once.
    """

    def __init__(self, counter: Counter, *labels: str) -> None:
        self._counter = counter
        self._labels = labels
        self._children: dict[int, Counter] = {}

    def of(self, status: int) -> Counter:
        child = self._children.get(status)
        if child is None:
            # A target may answer with any number: what nobody has registered is counted together.
            label = str(status) if status in _STATUSES else OTHER_STATUS
            child = self._children[status] = self._counter.labels(*self._labels, label)
        return child


class ServiceCounts:
    """What is counted of the requests for one service."""

    def __init__(self, service: str, requests: Counter, duration: Histogram, flight: Gauge) -> None:
        """Count into these metrics under the service's name."""
        self._requests = _ByStatus(requests, service)
        self._duration = duration.labels(service)
        self.in_flight = flight.labels(service)

    def answered(self, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._requests.of(status).inc()
        self._duration.observe(seconds)


class Metrics:
    """The counts of one gateway."""

    def __init__(self, registry: CollectorRegistry, groups: Mapping[str, TargetGroup]) -> None:
        """Count into this registry, which also tells how these groups are."""
        self._registry = registry
        requests = Counter(
            "gateway_requests", "Requests ended", ["service", "status"], registry=registry
        )
        duration = Histogram(
            "gateway_request_duration_seconds",
            "Time from a request's head to the end of its answer",
            ["service"],
            buckets=SECONDS,
            registry=registry,
        )
        flight = Gauge(
            "gateway_requests_in_flight",
            "Requests being answered",
            ["service"],
            registry=registry,
        )
        own = Counter(
            "gateway_own_answers",
            "Requests that no target answered",
            ["status"],
            registry=registry,
        )
        self._own = _ByStatus(own)
        self._services = {
            service: ServiceCounts(service, requests, duration, flight)
            for service in (*groups, NO_SERVICE)
        }
        registry.register(_Groups(groups.values()))

    def of(self, service: str) -> ServiceCounts:
        """The counts of a service, or of `NO_SERVICE`."""
        return self._services[service]

    def answered_itself(self, status: int) -> None:
        """Count a request that no target answered."""
        self._own.of(status).inc()

    def expose(self) -> bytes:
        """All of the registry as text."""
        return generate_latest(self._registry)


class _Groups(Collector):
    """Looks at the target groups when it is asked, so that nothing has to be kept in step."""

    def __init__(self, groups: Iterable[TargetGroup]) -> None:
        self._groups = groups

    def collect(self) -> Iterable[Metric]:
        """Yield what the groups are like now; every state and every reason, also where it is 0."""
        targets = GaugeMetricFamily(
            "gateway_targets", "Targets in this state", labels=["service", "state"]
        )
        failures = CounterMetricFamily(
            "gateway_connect_failures",
            "Connections that a target did not take for a request",
            labels=["service", "reason"],
        )
        for group in self._groups:
            present = [target.state for target in (*group.targets, *group.draining)]
            for state in TargetState:
                targets.add_metric([group.service, state], present.count(state))
            for reason, number in group.connect_failures.items():
                failures.add_metric([group.service, reason], number)
        return targets, failures
