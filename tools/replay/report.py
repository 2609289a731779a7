"""What a replay prints: answers by kind with what explains them, latencies, and the verdict."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from tools.replay.api import NO_ANSWER, Outcome, Statistics
from tools.status import table

_DONE = {
    "log in": 200,
    "refresh": 200,
    "make doctor": 201,
    "describe doctor": 200,
    "set hours": 200,
    "register": 201,
    "book": 201,
    "move": 200,
    "cancel": 200,
    "check-in": 200,
    "complete": 200,
    "list": 200,
    "read one": 200,
}
_BEFORE = {
    Outcome("register", 409, "email_taken"): "registered before",
    Outcome("read account", 200, ""): "whose account that is",
    Outcome("make doctor", 409, "email_taken"): "made before",
    Outcome("find doctor", 200, ""): "which account that is",
    Outcome("book", 201, "replayed"): "booked before, the same answer again",
    Outcome("move", 200, "replayed"): "moved before, the same answer again",
}
_LOST_ANSWERS = {
    **_BEFORE,
    Outcome("refresh", 401, "invalid_refresh_token"): "spent by an attempt without an answer",
    Outcome("cancel", 409, "wrong_status"): "done by an attempt without an answer",
    Outcome("check-in", 409, "wrong_status"): "done by an attempt without an answer",
    Outcome("complete", 409, "wrong_status"): "done by an attempt without an answer",
}

Explain = Callable[[Outcome], str | None]


def explanations(*, again: bool, outages: bool) -> Explain:
    """Tell why an answer may be given; None for one that nothing explains.

    Args:
        again: the seed was named, so that an earlier run may have done a part already.
        outages: things are being ended on purpose, so that answers fail and get lost.
    """

    def explain(outcome: Outcome) -> str | None:
        if not outcome.code and _DONE.get(outcome.operation) == outcome.status:
            return "done"
        if outages and (outcome.status in (502, 503, 504) or outcome.status == NO_ANSWER):
            return "tried again"
        if outages and outcome in _LOST_ANSWERS:
            return _LOST_ANSWERS[outcome]
        return _BEFORE.get(outcome) if again else None

    return explain


def answers_table(statistics: Statistics, explain: Explain) -> str:
    """All answers by operation, status and code."""
    rows = [("operation", "status", "code", "answers", "")]
    rows += [
        (
            outcome.operation,
            str(outcome.status) if outcome.status != NO_ANSWER else "none",
            outcome.code or "-",
            str(count),
            explain(outcome) or "UNEXPLAINED",
        )
        for outcome, count in sorted(statistics.answers.items())
    ]
    return table(rows)


def latency_table(statistics: Statistics) -> str:
    """Percentiles of each operation's time to answer, in milliseconds."""
    rows = [("milliseconds", "p50", "p95", "p99", "most")]
    for operation, seconds in sorted(statistics.seconds.items()):
        ordered = array("d", sorted(seconds))
        figures = [f"{percentile(ordered, share) * 1000:.0f}" for share in (50, 95, 99, 100)]
        rows.append((operation, *figures))  # type: ignore[arg-type]
    return table(rows)


def percentile(ordered: Sequence[float], share: int) -> float:
    """The nearest-rank percentile of sorted values, of which there must be some."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def unexplained(statistics: Statistics, explain: Explain) -> int:
    """How many answers nothing explains."""
    return sum(count for outcome, count in statistics.answers.items() if explain(outcome) is None)
