"""Which times can be booked, found by looking at every single minute.

An oracle for the service's own availability: it is told plain data, asks zoneinfo for the wall
clock of one instant after another, and shares no code with what it judges. It is slow, and meant to
be read: an instant belongs to an interval if its wall clock does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = 60

Span = tuple[int, int]
"""`[start, end)`: minutes after midnight for hours, Unix seconds for what is busy."""


@dataclass(frozen=True)
class Rules:
    """A doctor's hours as the contract has them. All lengths are minutes.

    Attributes:
        weekly: the hours of Monday (0) to Sunday (6).
        overrides: the hours of single dates, instead of the weekly ones.
        step: how many seconds lie between two instants that are looked at.
    """

    zone: str
    weekly: Mapping[int, Sequence[Span]]
    slot: int
    before: int = 0
    after: int = 0
    notice: int = 0
    horizon_days: int = 730
    overrides: Mapping[date, Sequence[Span]] = field(default_factory=dict)
    step: int = MINUTE

    def hours(self, day: date) -> tuple[Span, ...]:
        """The hours of a date."""
        return tuple(self.overrides.get(day, self.weekly.get(day.weekday(), ())))

    def refusal(
        self,
        start: int,
        now: datetime,
        doctor_busy: Iterable[Span] = (),
        patient_busy: Iterable[Span] = (),
    ) -> str | None:
        """The code that booking this time would answer; None if it can be booked.

        Args:
            start: Unix seconds.
            doctor_busy: what others hold of the doctor, their buffers included.
        """
        lead = start - now.timestamp()
        if lead < self.notice * MINUTE:
            return "too_soon"
        if lead > self.horizon_days * 24 * 60 * MINUTE:
            return "too_far"
        code = self._off_hours(start)
        if code is not None:
            return code
        end = start + self.slot * MINUTE
        if _meets((start - self.before * MINUTE, end + self.after * MINUTE), doctor_busy):
            return "slot_taken"
        return "patient_busy" if _meets((start, end), patient_busy) else None

    def starts(self, day: date) -> list[int]:
        """All starts of a date, booked or not, in order."""
        length = self.slot * MINUTE
        runs = runs_of(self.zone, day, self.hours(day), self.step)
        return sorted(
            start for begin, end in runs for start in range(begin, end - length + 1, length)
        )

    def _off_hours(self, start: int) -> str | None:
        day = datetime.fromtimestamp(start, ZoneInfo(self.zone)).date()
        length = self.slot * MINUTE
        for begin, end in runs_of(self.zone, day, self.hours(day), self.step):
            if begin <= start and start + length <= end:
                if (start - begin) % length == 0:
                    return None
                return "misaligned"
        return "outside_hours"


@lru_cache(maxsize=4096)
def runs_of(zone: str, day: date, hours: tuple[Span, ...], step: int) -> tuple[Span, ...]:
    """The unbroken runs of instants of each interval, in Unix seconds.

    Args:
        step: seconds between two instants; every change of clocks and every bound of the hours
            must lie on one.
    """
    clocks = _clocks(zone, day, step)
    found = []
    for begin, end in hours:
        run: list[int] = []
        for moment, minute in clocks:
            if not begin <= minute < end:
                continue
            if run and moment != run[-1] + step:
                found.append((run[0], run[-1] + step))
                run = []
            run.append(moment)
        if run:
            found.append((run[0], run[-1] + step))
    return tuple(found)


@lru_cache(maxsize=256)
def _clocks(zone: str, day: date, step: int) -> list[tuple[int, int]]:
    """Every instant of a date, and the minute of the day that the wall clock shows then."""
    info = ZoneInfo(zone)
    # The date's noon in UTC, and more than any offset around it.
    noon = int((datetime(day.year, day.month, day.day) - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001 - a difference
    noon += int(timedelta(hours=12).total_seconds())
    around = int(timedelta(hours=28).total_seconds())
    clocks = []
    for moment in range(noon - around, noon + around, step):
        local = datetime.fromtimestamp(moment, info)
        if local.date() == day:
            clocks.append((moment, local.hour * 60 + local.minute))
    return clocks


def _meets(span: Span, others: Iterable[Span]) -> bool:
    return any(span[0] < end and begin < span[1] for begin, end in others)
