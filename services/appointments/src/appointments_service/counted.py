"""What this service counts besides requests and calls."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from appointments_service.domain.invariants import ANSWER, CALENDAR, OVERLAP, TALLY
from appointments_service.service.changes import CHANGES
from appointments_service.service.filling import RESULTS


def count_changes(registry: CollectorRegistry) -> Callable[[str], None]:
    """What is told of each change of an appointment, one of CHANGES."""
    counter = Counter(
        "appointment_changes",
        "Appointments booked, moved, or given another status",
        ["change"],
        registry=registry,
    )
    children = {change: counter.labels(change) for change in CHANGES}  # each begins with 0
    return lambda change: children[change].inc()


def count_offers(registry: CollectorRegistry) -> Callable[[str], None]:
    """What is told what has become of an offer, one of RESULTS."""
    counter = Counter(
        "waitlist_offers",
        "Offers of a freed time to somebody who waits, by what has become of them",
        ["result"],
        registry=registry,
    )
    children = {result: counter.labels(result) for result in RESULTS}
    return lambda result: children[result].inc()


INVARIANTS = {OVERLAP: "overlap", CALENDAR: "calendar", TALLY: "tally", ANSWER: "history"}
"""What the numbers of invariants are called in metrics."""


def count_violations(registry: CollectorRegistry) -> Callable[[int], None]:
    """What is told of each breach that the audit finds, by the number of the invariant."""
    counter = Counter(
        "invariant_violations",
        "Breaches of what must always hold, counted again in each round that finds them",
        ["invariant"],
        registry=registry,
    )
    children = {number: counter.labels(name) for number, name in INVARIANTS.items()}
    return lambda number: children[number].inc()


def count_rounds(registry: CollectorRegistry) -> Callable[[], None]:
    """What is told of each round of the audit that came to its end."""
    counter = Counter(
        "invariant_audit_rounds", "Rounds of the audit through the whole table", registry=registry
    )
    return counter.inc


def show_waiting(registry: CollectorRegistry) -> Callable[[int], None]:
    """What is told how many wait, at each look."""
    gauge = Gauge(
        "waitlist_entries",
        "Entries of the waiting list that wait or hold an offer, as last looked",
        registry=registry,
    )
    return gauge.set
