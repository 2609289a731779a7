"""The sequential model: appointments, and who holds which 5 minutes of whom. One event at a time.

Doctors and patients have a calendar each, kept as two masks of 5-minute buckets: what is held
regularly and what by overrides, which lie over the former and never over each other. What the
service stores in addition (tallies, days of UTC, answers to keys) is the audit's matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tools.stress.clinic import BASE, DOCTORS
from tools.stress.history import Kept, Operation, Version

_FIVE = 300
# Long before anything that is booked, so that no bucket is negative.
_ORIGIN = int(BASE.timestamp()) // _FIVE - 10 * 288

_CANCELLABLE = ("booked", "checked_in")
_FROM = {
    "move": ("booked",),
    "check_in": ("booked",),
    "no_show": ("booked",),
    "complete": ("checked_in",),
    "cancel": _CANCELLABLE,
    "cancel_series": _CANCELLABLE,
}


def mask_of(start: int, end: int) -> int:
    """The buckets of `[start, end)` in Unix seconds."""
    first, last = start // _FIVE - _ORIGIN, -(-end // _FIVE) - _ORIGIN
    return ((1 << (last - first)) - 1) << first


@dataclass(frozen=True)
class Held:
    """What one version of an appointment holds of its doctor's and its patient's time.

    Of a doctor whose buffers change, only what is held for certain: nobody can tell afterwards
    which were in force.
    """

    doctor: int
    patient: int
    override: bool


NOTHING = Held(0, 0, False)


def held_by(kept: Kept, number: int, kind_of_first: str) -> Held:
    """What an appointment holds in a version; nothing before its first, and once cancelled."""
    if number == 0 or kept.versions[number - 1].status == "cancelled":
        return NOTHING
    start = kept.versions[number - 1].starts
    doctor = DOCTORS[kept.doctor]
    before, after = doctor.sure_buffers
    end = start + doctor.slot * 60
    moved = any(one.status == "booked" for one in kept.versions[1:number])
    return Held(
        doctor=mask_of(start - before * 60, end + after * 60),
        patient=mask_of(start, end),
        override=kind_of_first == "override" and not moved,
    )


@dataclass(frozen=True)
class Event:
    """Something that happened at one moment between `called` and `returned`.

    Attributes:
        steps: appointments and the version that each of them got, all at once.
        seen: a refusal or a read, which changes nothing and must be true at its moment.
        start: the time that `seen` is about, in Unix seconds.
        series: whether all later ones of the series must be booked no more.
    """

    what: str
    called: int
    returned: int
    steps: tuple[tuple[Kept, Version], ...] = ()
    seen: str | None = None
    operation: Operation | None = None
    start: int = 0
    series: bool = False

    @property
    def owners(self) -> frozenset[str]:
        """The doctors, patients and appointments that it is about."""
        about = {name for kept, _ in self.steps for name in (kept.id, kept.doctor, kept.patient)}
        if self.operation is not None:
            request = self.operation.request
            about |= {request.doctor, request.patient, request.target or ""}
        return frozenset(about)


class Calendars:
    """The state between two events. Every event can be taken back, in reverse order.

    Args:
        kinds: appointment → the kind of request that booked it.
    """

    def __init__(self, kept: Sequence[Kept], kinds: dict[str, str]) -> None:
        self._kept = {one.id: one for one in kept}
        self._kinds = kinds
        self._version = dict.fromkeys(self._kept, 0)
        self._busy: dict[str, int] = {}
        self._over: dict[str, int] = {}
        self._holds: dict[tuple[str, int], Held] = {}
        self._series: dict[str, list[Kept]] = {}
        for one in kept:
            if one.series is not None:
                self._series.setdefault(one.series, []).append(one)

    def allows(self, event: Event) -> bool:
        """Whether the event may happen now."""
        if event.seen is not None:
            return self._is_true(event)
        done = 0
        for kept, version in event.steps:
            if self._version[kept.id] != version.number - 1 or not self._free(kept, version):
                break
            self._set(kept, version.number)
            done += 1
        fine = done == len(event.steps) and not (event.series and self._left(event))
        for kept, version in reversed(event.steps[:done]):
            self._set(kept, version.number - 1)
        return fine

    def happen(self, event: Event) -> None:
        """Let an event happen that is allowed."""
        for kept, version in event.steps:
            self._set(kept, version.number)

    def undo(self, event: Event) -> None:
        """Take back the last event that happened."""
        for kept, version in reversed(event.steps):
            self._set(kept, version.number - 1)

    def _held(self, kept: Kept, number: int) -> Held:
        held = self._holds.get((kept.id, number))
        if held is None:
            held = self._holds[kept.id, number] = held_by(kept, number, self._kinds[kept.id])
        return held

    def _free(self, kept: Kept, version: Version) -> bool:
        """Whether nobody else holds what the version holds."""
        before, after = self._held(kept, version.number - 1), self._held(kept, version.number)
        if before == after:
            return True
        for owner, own, wanted in (
            (kept.doctor, before.doctor, after.doctor),
            (kept.patient, before.patient, after.patient),
        ):
            busy, over = self._others(owner, own, before.override)
            if wanted & over or (wanted & busy and not after.override):
                return False
        return True

    def _others(self, owner: str, own: int, override: bool) -> tuple[int, int]:
        busy, over = self._busy.get(owner, 0), self._over.get(owner, 0)
        return (busy, over & ~own) if override else (busy & ~own, over)

    def _set(self, kept: Kept, number: int) -> None:
        before, after = self._held(kept, self._version[kept.id]), self._held(kept, number)
        self._version[kept.id] = number
        for owner, gives, takes in (
            (kept.doctor, before.doctor, after.doctor),
            (kept.patient, before.patient, after.patient),
        ):
            given = self._over if before.override else self._busy
            given[owner] = given.get(owner, 0) & ~gives
            taken = self._over if after.override else self._busy
            taken[owner] = taken.get(owner, 0) | takes

    def _left(self, event: Event) -> bool:
        """Whether a later one of a series that was cancelled is still booked."""
        named = event.steps[0][0]
        since = self._now(named).starts if self._version[named.id] else 0
        return any(
            self._version[one.id]
            and self._now(one).status == "booked"
            and self._now(one).starts > since
            for one in self._series.get(named.series or "", ())
        )

    def _now(self, kept: Kept) -> Version:
        return kept.versions[self._version[kept.id] - 1]

    def _is_true(self, event: Event) -> bool:
        operation = event.operation
        assert operation is not None  # noqa: S101 - what is seen was answered to somebody
        request = operation.request
        if event.seen in ("slot_taken", "patient_busy"):
            return self._meets(event.seen, operation, event.start)
        target = self._kept[request.target or ""]
        if self._version[target.id] == 0:
            return False
        return _is_so(event.seen or "", operation, self._now(target))

    def _meets(self, seen: str, operation: Operation, start: int) -> bool:
        """Whether somebody holds a part of the time that was refused."""
        request = operation.request
        doctor = DOCTORS[request.doctor]
        end = start + doctor.slot * 60
        own = NOTHING
        if request.target is not None:
            own = self._held(self._kept[request.target], self._version[request.target])
        if seen == "patient_busy":
            owner, wanted, mine = request.patient, mask_of(start, end), own.patient
        else:
            before, after = doctor.most_buffers
            if doctor.most_buffers != doctor.sure_buffers:
                before = after = before + after  # others may have had the most of them, too
            wanted, mine = mask_of(start - before * 60, end + after * 60), own.doctor
            owner = doctor.id
        busy, over = self._others(owner, mine, own.override)
        return bool(wanted & (over if request.kind == "override" else busy | over))


def _is_so(seen: str, operation: Operation, current: Version) -> bool:
    """Whether an answer about an appointment is true of it as it is."""
    request = operation.request
    match seen:
        case "read":
            return bool(current.number == operation.document["version"])
        case "wrong_status":
            return current.status not in _FROM[request.kind]
        case "version_mismatch":
            return current.number != request.if_match
        case "same_time":
            return current.starts == request.starts
        case "too_early":
            return current.status == "booked" and current.starts > _seconds(operation.now)
        case _:
            return False


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
