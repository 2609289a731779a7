"""What an instance counts, in Prometheus' text format.

Label values are bounded: routes, never paths; codes of problems, never their details.
"""

from prometheus_client import Counter, Gauge, Histogram, generate_latest

from servicekit.calls import CallMetrics
from telemetry.metrics import SECONDS, new_registry


class RouteMetrics:
    """What is counted of one route.

    Attributes:
        in_flight: requests being served.
    """

    def __init__(self, in_flight: Gauge, requests: Counter, seconds: Histogram, route: str) -> None:
        self.in_flight = in_flight.labels(route)
        self._requests = requests
        self._seconds = seconds
        self._route = route
        # labels() costs more than the count itself; the children are few and live on.
        self._by_status: dict[int, tuple[Counter, Histogram]] = {}

    def observe(self, status: int, seconds: float) -> None:
        """Counts one answered request."""
        children = self._by_status.get(status)
        if children is None:
            labels = (self._route, str(status))
            children = self._requests.labels(*labels), self._seconds.labels(*labels)
            self._by_status[status] = children
        children[0].inc()
        children[1].observe(seconds)


class Metrics:
    """What every service counts.

    Attributes:
        stores, peers: of its calls to its store and to other services.
        registry: for what a service counts besides.
    """

    def __init__(self, service: str, version: str) -> None:
        self.registry = new_registry(service, version)
        self._requests = Counter(
            "http_requests", "Requests answered", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time to the answer",
            ["route", "status"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "http_requests_in_flight", "Requests being served", ["route"], registry=self.registry
        )
        self._problems = Counter(
            "problems",
            "Answers that were problem documents",
            ["route", "code"],
            registry=self.registry,
        )
        self.stores = CallMetrics(self.registry, "store")
        self.peers = CallMetrics(self.registry, "peer")
        self._routes: dict[str, RouteMetrics] = {}

    def of_route(self, route: str) -> RouteMetrics:
        """What is counted of a route, named as the log names it."""
        found = self._routes.get(route)
        if found is None:
            found = RouteMetrics(self._in_flight, self._requests, self._seconds, route)
            self._routes[route] = found
        return found

    def problem(self, route: str, code: str) -> None:
        """Counts one problem document."""
        self._problems.labels(route, code).inc()

    def expose(self) -> bytes:
        """The registry as text."""
        return generate_latest(self.registry)
