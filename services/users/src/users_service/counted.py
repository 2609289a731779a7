"""What this service counts besides requests and calls; what alerts look at."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from servicekit.mail import RESULTS
from users_service.domain.erasures import Backlog


def count_waiting_hashes(registry: CollectorRegistry, waiting: Callable[[], int]) -> None:
    """Shows how many passwords wait, whenever it is asked."""
    gauge = Gauge("password_hashes_waiting", "Passwords that wait to be hashed", registry=registry)
    gauge.set_function(waiting)


def count_mails(registry: CollectorRegistry) -> Callable[[str], None]:
    """What is told what has become of a mail, one of RESULTS."""
    counter = Counter(
        "mails", "Mails by what has become of them, behind the answers", ["result"],
        registry=registry,
    )  # fmt: skip
    children = {result: counter.labels(result) for result in RESULTS}  # each begins with 0
    return lambda result: children[result].inc()


def count_reuse(registry: CollectorRegistry) -> Callable[[], None]:
    """What is told that a spent refresh token has ended its session."""
    counter = Counter(
        "refresh_tokens_reused",
        "Sessions ended because a spent refresh token was presented again",
        registry=registry,
    )
    return counter.inc


def count_erasures(
    registry: CollectorRegistry, clock: Callable[[], datetime]
) -> Callable[[Backlog], None]:
    """What is told of the erasures that aren't done, at each look."""
    pending = Gauge(
        "erasures_pending",
        "Closed accounts that the other services may keep something of, as last looked",
        registry=registry,
    )
    oldest = Gauge(
        "erasures_oldest_seconds",
        "Since the closing of the account whose erasure has been pending longest, 0 for none",
        registry=registry,
    )

    def see(backlog: Backlog) -> None:
        pending.set(backlog.pending)
        since = backlog.oldest_requested_at
        # The age now and not at the look: where nobody can look any more, it goes on growing.
        oldest.set_function(lambda: (clock() - since).total_seconds() if since else 0.0)

    return see
