"""Judges a history: what was answered, what is left, and whether an order of events explains both.

Checked of every request, by the mark that its effects bear:

- What was answered 200 or 201 is there: the very version, with that status and start, and made by
  that request. What was refused left nothing. What has no answer, or a 503, happened once or not at
  all, a series as a whole. Nothing is there that nobody asked for.
- A request that was sent again with its key was done once, and all its successes are the same
  bytes; after one of them, it is never refused.
- Versions grow by one with each change, a schedule's with each change of hours.
- There is one order of all changes, refusals and reads in which each lies between its request and
  its answer and is right by the sequential model (`calendar.py`): no time is held twice but by
  overrides, `slot_taken` and `patient_busy` are only said while somebody holds a part of that time,
  `wrong_status` and the like only while it is so, a read shows the version of that moment, a
  cancelled series has no later one left. It is one order for all doctors and patients together.
- Nobody is booked outside of the hours that were, or perhaps were, in force during the request; a
  refusal for hours, notice or horizon is right by such hours. The hours are computed by the oracle.
- Every request ends; no answer is a plain 500, nor a refusal that the clinic gives no cause for.

Not checked: what `/slots` and explain show during the run (they read several items, not all at one
moment; tests/appointments compares them at rest), lists, the exact buffers of a doctor who changes
them (the audit does that over the table, with tallies and stored answers), and whether a date whose
own hours were to be taken back, with an answer 404, had none: the request's own attempt may have
done it, its answer lost on the way from the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise

from tools.stress.calendar import Calendars, Event
from tools.stress.clinic import instant, seconds_of
from tools.stress.history import NEVER, History, Kept, Operation, Regime, Version
from tools.stress.order import MOST_STEPS, Search

_HOURS_CODES = ("too_soon", "too_far", "outside_hours", "misaligned")
_TIME_CODES = ("slot_taken", "patient_busy")
_STATE_CODES = ("wrong_status", "version_mismatch", "same_time", "too_early")

Effect = tuple[Kept, Version]
_CHANGES = {
    "book": "booked",
    "override": "booked",
    "series": "booked",
    "move": "booked",
    "cancel": "cancelled",
    "cancel_series": "cancelled",
    "check_in": "checked_in",
    "complete": "completed",
    "no_show": "no_show",
}


class Group:
    """A request, all times that it was sent, and what bears its mark in the table."""

    def __init__(self, operations: list[Operation], effects: list[Effect]) -> None:
        self.request = operations[0].request
        self.operations = operations
        self.effects = effects
        self.done = [one for one in operations if one.done]
        self.firsts = [one for one in self.done if not one.replayed]
        self.in_doubt = [one for one in operations if one.in_doubt]

    @property
    def span(self) -> tuple[int, int]:
        """From when to when its effect may have happened."""
        made = self.firsts or self.in_doubt or self.operations
        returned = min((one.returned for one in self.done), default=NEVER)
        return min(one.called for one in made), returned

    @property
    def clock(self) -> tuple[datetime, datetime]:
        """The clinic's clock at both ends, where it is known to have ended."""
        laters = [one.later for one in self.operations if one.later is not None]
        return min(one.now for one in self.operations), max(laters)


def breaches(history: History) -> list[str]:
    """What is wrong with a history, a sentence each; nothing if all is well."""
    groups = _groups(history)
    found = list(_unasked(history, groups))
    for group in groups.values():
        found += _wrong_answers(group)
        if group.request.kind not in ("hours", "read"):
            found += _wrong_effects(group)
        found += _wrong_hours(group, history.regimes.get(group.request.doctor, []))
    found += _missing(history)
    found += _wrong_versions(history)
    return found or _unordered(history, groups)


def _groups(history: History) -> dict[str, Group]:
    sent: dict[str, list[Operation]] = {}
    for operation in history.operations:
        sent.setdefault(operation.request.mark, []).append(operation)
    effects: dict[str, list[Effect]] = {}
    for kept in history.kept:
        for version in kept.versions:
            effects.setdefault(version.mark, []).append((kept, version))
    return {mark: Group(of_mark, effects.get(mark, [])) for mark, of_mark in sent.items()}


def _unasked(history: History, groups: Mapping[str, Group]) -> Iterator[str]:
    for kept in history.kept:
        for number, version in enumerate(kept.versions, 1):
            if version.number != number:
                yield f"{kept.id}: version {version.number} where {number} should be"
            if version.mark not in groups:
                yield f"{kept.id}: nobody asked for its version {number} ({version.mark})"


def _wrong_answers(group: Group) -> Iterator[str]:
    """What answers alone tell: 500s, refusals without a cause, and keys that were not kept."""
    for one in group.operations:
        if one.status == 500:
            yield f"{one}: an answer 500"
        if one.hung:
            yield f"{one}: no answer, and no end"
        causes = (None, "series_conflict", *_HOURS_CODES, *_TIME_CODES, *_STATE_CODES)
        taken_back = group.request.method == "DELETE" and one.status == 404
        if one.code not in causes and not taken_back:
            yield f"{one}: there is no cause for this refusal"
    if group.request.key is None:
        return
    if len({one.body for one in group.done}) > 1:
        yield f"{group.done[0]}: its key was answered differently"
    if len(group.firsts) > 1:
        yield f"{group.firsts[1]}: its key had an answer, and it was done again"
    answered = min((one.returned for one in group.done), default=NEVER)
    for one in group.operations:
        if one.called > answered and one.code is not None:
            yield f"{one}: refused after its key was answered with success"


def _wrong_effects(group: Group) -> Iterator[str]:
    """What a request left in the table, against what it asked and was told."""
    request = group.request
    told = group.operations[-1]
    for kept, version in group.effects:
        if not _is_asked(group, kept, version):
            yield f"{told}: it made version {version.number} of {kept.id} something else"
    count = len(group.effects)
    whole = count >= 1 if request.kind == "cancel_series" else count == request.count
    if group.done and not whole:
        yield f"{group.done[0]}: answered with success, and {count} of it are there"
    elif count and not whole:
        yield f"{told}: {count} of {request.count} happened"
    if count and not group.done and not group.in_doubt:
        yield f"{told}: refused, and it happened"
    if not group.done and len({kept.series for kept, _ in group.effects}) > 1:
        yield f"{told}: it made appointments of several series"


def _is_asked(group: Group, kept: Kept, version: Version) -> bool:
    request = group.request
    if version.status != _CHANGES[request.kind] or kept.doctor != request.doctor:
        return False
    if kept.patient != request.patient:
        return False
    if request.target is None:
        first = min(one.starts for _, one in group.effects)
        return version.number == 1 and request.starts in (first, version.starts)
    if request.if_match is not None and kept.id == request.target:
        fits = version.number == request.if_match + 1
    else:
        fits = version.number > 1
    if request.kind == "cancel_series":
        return fits
    return fits and kept.id == request.target and request.starts in (None, version.starts)


def _missing(history: History) -> Iterator[str]:
    """Answers 200 and 201 of which the table knows nothing, or something else."""
    kept = {one.id: one for one in history.kept}
    for operation in history.operations:
        for shown in operation.shown:
            one = kept.get(shown["id"])
            if one is None or not 1 <= shown["version"] <= len(one.versions):
                yield f"{operation}: {shown['id']} isn't there in version {shown['version']}"
                continue
            version = one.versions[shown["version"] - 1]
            said = (shown["status"], seconds_of(shown["starts_at"]))
            if said != (version.status, version.starts):
                yield f"{operation}: it said {said}, and {one.id} was {version}"
            if operation.request.kind != "read" and version.mark != operation.request.mark:
                yield f"{operation}: it told of what {version.mark} has done"


def _wrong_versions(history: History) -> Iterator[str]:
    """Of hours: later changes have higher versions (an answer 204 shows none)."""
    for doctor in history.regimes:
        told = [
            one
            for one in history.operations
            if one.request.kind == "hours" and one.request.doctor == doctor and one.status == 200
        ]
        for earlier, later in pairwise(sorted(told, key=lambda one: one.called)):
            if later.document["version"] <= earlier.document["version"]:
                yield f"{later}: its version doesn't follow {earlier.document['version']}"


def _wrong_hours(group: Group, regimes: list[Regime]) -> Iterator[str]:
    """Bookings that no hours in force allowed, and refusals that none of them gave a cause for."""
    request = group.request
    if group.effects and request.kind in ("book", "series", "move"):
        starts = [version.starts for _, version in group.effects]
        if not _possible(group.span, group.clock, regimes, dict.fromkeys(starts)):
            times = ", ".join(map(instant, starts))
            yield f"{group.operations[-1]}: the hours did not allow {times}"
    if group.effects and request.kind == "no_show":
        [(_, version), *_] = group.effects
        if version.starts > group.clock[1].timestamp():
            yield f"{group.operations[-1]}: missed before it began"
    for one in group.operations:
        if one.later is None or request.kind == "override":
            continue
        for start, code in _refused(one):
            span = (one.called, one.returned)
            if code in _HOURS_CODES and not _possible(
                span, (one.now, one.later), regimes, {start: code}
            ):
                yield f"{one}: {code} of {instant(start)} is not so"


def _refused(operation: Operation) -> Iterator[tuple[int, str]]:
    """The times that an answer refused, each with its code."""
    if operation.code == "series_conflict":
        for one in operation.document["conflicts"]:
            yield seconds_of(one["starts_at"]), one["code"]
    elif operation.code is not None and operation.request.starts is not None:
        yield operation.request.starts, operation.code


def _possible(
    span: tuple[int, int],
    clock: tuple[datetime, datetime],
    regimes: list[Regime],
    codes: Mapping[int, str | None],
) -> bool:
    """Whether some hours that may have been in force in `span` answer these codes."""
    called, returned = span
    for number, regime in enumerate(regimes):
        over = regimes[number + 1].returned if number + 1 < len(regimes) else NEVER
        if regime.called > returned or over < called:
            continue
        for now in clock:
            if all(regime.rules.refusal(start, now) == code for start, code in codes.items()):
                return True
    return False


def _unordered(history: History, groups: Mapping[str, Group]) -> list[str]:
    """Whether no order of the events explains them."""
    kinds = {kept.id: groups[kept.versions[0].mark].request.kind for kept in history.kept}
    search = Search(list(_events(groups)), Calendars(history.kept, kinds))
    if search.run():
        return []
    stuck = search.stuck.what if search.stuck is not None else "the end"
    if search.steps > MOST_STEPS:
        return [f"no order of the events was found in {search.steps:,} steps, up to {stuck}"]
    return [f"no order of the events explains {stuck}"]


def _events(groups: Mapping[str, Group]) -> Iterator[Event]:
    for group in groups.values():
        request = group.request
        if group.effects:
            called, returned = group.span
            steps = sorted(group.effects, key=lambda one: one[0].id != request.target)
            yield Event(
                what=str(group.operations[-1]),
                called=called,
                returned=returned,
                steps=tuple(steps),
                operation=group.operations[0],
                series=request.kind == "cancel_series",
            )
        for one in group.operations:
            yield from _seen(one)


def _seen(operation: Operation) -> Iterator[Event]:
    """What an answer says of its moment."""
    if operation.request.kind == "read" and operation.done:
        yield _event(operation, "read", 0)
    for start, code in _refused(operation):
        if code in _TIME_CODES:
            yield _event(operation, code, start)
    if operation.code in _STATE_CODES:
        yield _event(operation, operation.code or "", 0)


def _event(operation: Operation, seen: str, start: int) -> Event:
    what = f"{seen} {instant(start)} of {operation}" if start else f"{seen} of {operation}"
    return Event(
        what=what,
        called=operation.called,
        returned=operation.returned,
        seen=seen,
        operation=operation,
        start=start,
    )
