"""The clinic that is put under stress: few doctors and patients, so that they get into each other's
way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tools.stress.oracle import Rules, Span

BASE = datetime(2026, 3, 23, 6, 0, tzinfo=UTC)
"""Where the clock begins: the clocks of Europe change six days later."""

OPERATION = timedelta(seconds=86)
"""How far the clock moves with each operation: 20,000 are twenty days."""

TABLE = "stress"
PATIENTS = tuple(f"patient-{n}" for n in range(24))
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_EVERY_DAY = range(7)


@dataclass(frozen=True)
class Doctor:
    """A doctor and the hours that they change between.

    Attributes:
        hours: weekly hours, the same every day; a change of hours puts another of them in force.
        buffers: before and after, in minutes; with several, a change of hours changes them, too.
    """

    id: str
    zone: str
    slot: int
    hours: tuple[tuple[Span, ...], ...]
    buffers: tuple[tuple[int, int], ...] = ((0, 0),)
    notice: int = 0

    @property
    def sure_buffers(self) -> tuple[int, int]:
        """What every appointment claims before and after, whenever it was made."""
        return min(one for one, _ in self.buffers), min(two for _, two in self.buffers)

    @property
    def most_buffers(self) -> tuple[int, int]:
        """The most that an appointment may claim before and after."""
        return max(one for one, _ in self.buffers), max(two for _, two in self.buffers)

    def rules(self, number: int) -> Rules:
        """One of the alternatives, without overrides of dates."""
        before, after = self.buffers[number % len(self.buffers)]
        return Rules(
            zone=self.zone,
            weekly=dict.fromkeys(_EVERY_DAY, self.hours[number % len(self.hours)]),
            slot=self.slot,
            before=before,
            after=after,
            notice=self.notice,
            horizon_days=60,
        )


DOCTORS = {
    doctor.id: doctor
    for doctor in (
        Doctor("doctor-day", "UTC", 30, (((480, 1080),), ((540, 720), (780, 1020)))),
        Doctor(
            "doctor-berlin", "Europe/Berlin", 25, (((420, 900),), ((120, 480),)), ((5, 10),), 30
        ),
        Doctor("doctor-night", "America/New_York", 45, (((0, 360), (1080, 1440)),), ((15, 0),)),
        Doctor("doctor-moody", "UTC", 20, (((480, 960),), ((490, 1000),)), ((0, 0), (10, 5))),
    )
}


def schedule_body(rules: Rules) -> dict[str, Any]:
    """The rules as `PUT /v1/schedules/{id}` takes them."""
    return {
        "timezone": rules.zone,
        "weekly": {WEEKDAYS[day]: hours_body(spans) for day, spans in rules.weekly.items()},
        "slot_minutes": rules.slot,
        "buffer_before_minutes": rules.before,
        "buffer_after_minutes": rules.after,
        "min_notice_minutes": rules.notice,
        "horizon_days": rules.horizon_days,
    }


def hours_body(spans: Any) -> list[dict[str, str]]:
    """Hours on the wire."""
    return [{"start": _clock(start), "end": _clock(end)} for start, end in spans]


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def instant(seconds: int) -> str:
    """Unix seconds as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str) -> int:
    """RFC 3339 as Unix seconds."""
    return int(datetime.fromisoformat(text).timestamp())
