"""What each worker asks next, drawn from the seed.

A worker's draws depend on its seed and on what it knows of the clinic when it draws, which the
interleaving of all workers decides. So a seed gives the same kinds of operations in the same order
to each worker, and mostly, not always, the same appointments to change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from tools.stress.clinic import DOCTORS, PATIENTS, Doctor, hours_body, instant, schedule_body
from tools.stress.history import Operation, Request
from tools.stress.oracle import Rules, Span

_WEIGHTS = {
    "book": 40,
    "move": 14,
    "cancel": 13,
    "check_in": 6,
    "no_show": 4,
    "complete": 5,
    "override": 4,
    "series": 3,
    "cancel_series": 2,
    "hours": 3,
    "read": 6,
}
_NEEDS_TARGET = ("move", "cancel", "check_in", "no_show", "complete", "cancel_series", "read")
_KNOWN = 400

Target = dict[str, Any]
"""An appointment as an answer showed it."""


@dataclass(frozen=True)
class Change:
    """A change of a doctor's hours: the request, and what it makes of the rules in force.

    Attributes:
        weekly: rules to be put in force but for their overrides, or
        day: a date whose own hours are set to `hours`, or with None taken back.
    """

    request: Request
    weekly: Rules | None = None
    day: date | None = None
    hours: tuple[Span, ...] | None = None

    def of(self, former: Rules) -> Rules:
        """The rules after it."""
        if self.weekly is not None:
            return replace(self.weekly, overrides=former.overrides)
        overrides = {day: spans for day, spans in former.overrides.items() if day != self.day}
        if self.day is not None and self.hours is not None:
            overrides[self.day] = self.hours
        return replace(former, overrides=overrides)


class Clinic:
    """What the workers know: the hours in force, and the appointments that they were shown."""

    def __init__(self, rules: dict[str, Rules]) -> None:
        self.rules = rules
        self._known: dict[str, Target] = {}

    def learn(self, operation: Operation) -> None:
        """Take note of the appointments that an answer shows."""
        for shown in operation.shown:
            known = self._known.pop(shown["id"], None)
            newest = shown if known is None or known["version"] < shown["version"] else known
            if newest["status"] in ("booked", "checked_in"):
                self._known[newest["id"]] = newest
        while len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]

    def targets(self) -> list[Target]:
        """Appointments that may be changed, as far as is known."""
        return list(self._known.values())


class Drawing:
    """One worker's draws.

    Args:
        name: of the worker; every mark begins with it.
    """

    def __init__(self, name: str, random: Random, clinic: Clinic) -> None:
        self._name = name
        self._random = random
        self._clinic = clinic
        self._drawn = 0

    def draw(self, now: datetime) -> Request | Change:
        """The next operation."""
        self._drawn += 1
        mark = f"{self._name}-{self._drawn}"
        [kind] = self._random.choices([*_WEIGHTS], [*_WEIGHTS.values()])
        doctor = self._random.choice([*DOCTORS.values()])
        targets = self._clinic.targets() if kind in _NEEDS_TARGET else []
        if kind == "cancel_series":
            targets = [one for one in targets if one["series_id"] is not None]
        if kind in ("no_show", "complete", "check_in"):
            targets = sorted(targets, key=lambda one: str(one["starts_at"]))[:40]
        if kind == "hours":
            return self._hours(mark, doctor, now)
        if targets:
            return self._on(kind, mark, self._random.choice(targets), now)
        return self._booking(kind if kind in ("override", "series") else "book", mark, doctor, now)

    def again(self) -> bool:
        """Whether to send a request with a key again, as one that was lost on the way."""
        return self._random.random() < 0.25

    def give_up(self) -> bool:
        """Whether a caller who got no answer leaves it at that."""
        return self._random.random() < 0.3

    def choose(self, instances: int) -> int:
        """Which instance to ask."""
        return self._random.randrange(instances)

    def _booking(self, kind: str, mark: str, doctor: Doctor, now: datetime) -> Request:
        patient = self._random.choice(PATIENTS)
        by_patient = kind != "override" and self._random.random() < 0.5
        starts = self._start(doctor, now)
        body: dict[str, Any] = {"doctor_id": doctor.id, "starts_at": instant(starts)}
        body |= {"reason": mark} | ({} if by_patient else {"patient_id": patient})
        count, path = 1, "/v1/appointments"
        if kind == "override":
            body["override"] = True
        if kind == "series":
            count, path = self._random.randrange(2, 5), "/v1/appointments/series"
            body |= {"every_weeks": 1, "count": count}
        return Request(
            kind=kind,
            mark=mark,
            method="POST",
            path=path,
            caller=(patient, "patient") if by_patient else (f"staff-{mark}", "admin"),
            doctor=doctor.id,
            patient=patient,
            body=body,
            starts=starts,
            count=count,
            key=self._key(mark),
        )

    def _on(self, kind: str, mark: str, target: Target, now: datetime) -> Request:
        """A request about an appointment. Its staff's id is the mark, for history tells it."""
        words = {"move": "reschedule", "check_in": "check-in", "no_show": "no-show"}
        word = words.get(kind, kind)
        path = f"/v1/appointments/{target['id']}"
        request = Request(
            kind=kind,
            mark=mark,
            method="GET" if kind == "read" else "POST",
            path=path if kind == "read" else f"{path}/{word.removesuffix('_series')}",
            caller=(mark, "admin"),
            doctor=target["doctor_id"],
            patient=target["patient_id"],
            target=target["id"],
            if_match=target["version"] if self._random.random() < 0.2 else None,
        )
        if kind == "read":
            return replace(request, if_match=None)
        if kind == "move":
            starts = self._start(DOCTORS[request.doctor], now)
            body = {"starts_at": instant(starts)}
            return replace(request, starts=starts, body=body, key=self._key(mark))
        if kind == "cancel_series":
            return replace(request, body={"reason": mark, "series": "remaining"})
        return replace(request, body={"reason": mark}) if kind == "cancel" else request

    def _key(self, mark: str) -> str | None:
        return f"key-{mark}" if self._random.random() < 0.6 else None

    def _start(self, doctor: Doctor, now: datetime) -> int:
        """A start of the coming days; often one of tomorrow's first, seldom one that is none."""
        rules = self._clinic.rules[doctor.id]
        if self._random.random() < 0.25:
            rules = doctor.rules(self._random.randrange(2))  # as an instance may still know them
        today = now.date()
        hot = self._random.random() < 0.2
        day = today + timedelta(days=1 if hot else self._random.randrange(5))
        starts = rules.starts(day)
        if not starts or self._random.random() < 0.05:
            midnight = int(datetime(*day.timetuple()[:3], tzinfo=now.tzinfo).timestamp())
            return midnight + self._random.randrange(288) * 300
        return self._random.choice(starts[:3] if hot else starts)

    def _hours(self, mark: str, doctor: Doctor, now: datetime) -> Change:
        """Other weekly hours, or a date's own, or those taken back."""
        former = self._clinic.rules[doctor.id]
        path = f"/v1/schedules/{doctor.id}"
        request = Request("hours", mark, "PUT", path, (doctor.id, "doctor"), doctor.id)
        roll = self._random.random()
        if roll < 0.4:
            rules = doctor.rules(self._random.randrange(2))
            return Change(replace(request, body=schedule_body(rules)), weekly=rules)
        if roll < 0.6 and former.overrides:
            day = self._random.choice(sorted(former.overrides))
            dated = replace(request, method="DELETE", path=f"{path}/overrides/{day}")
            return Change(dated, day=day)
        day = now.date() + timedelta(days=self._random.randrange(6))
        spans: tuple[Span, ...] = self._random.choice(((), ((540, 720),), ((0, 1440),)))
        body: dict[str, Any] = {"hours": hours_body(spans)} if spans else {"closed": True}
        dated = replace(request, path=f"{path}/overrides/{day}", body=body)
        return Change(dated, day=day, hours=spans)
