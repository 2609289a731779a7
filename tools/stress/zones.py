"""Every time zone, and every change of its clocks, against the hours that the service offers."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from appointments_service.domain.availability import Hours
from appointments_service.domain.schedules import WEEKDAYS, Interval, Schedule
from tools.stress.oracle import Rules, Span

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)
DAY = 86_400
FIVE = 300

# Hours over midnight's edges and over each hour at which some zone changes its clocks, in slots
# that don't divide an hour.
_HOURS: tuple[Span, ...] = ((0, 150), (150, 185), (540, 720), (1320, 1440))
_SLOT = 25


@dataclass(frozen=True)
class Change:
    """A change of clocks: the first second (Unix) of the new offset, both offsets in seconds."""

    moment: int
    before: int
    after: int


def changes_of(zone: str) -> tuple[Change, ...]:
    """All changes of a zone from 2024 to 2034, each found by bisection of a day."""
    info = ZoneInfo(zone)
    found = []
    low, offset = int(FIRST.timestamp()), _offset(info, int(FIRST.timestamp()))
    while low < LAST.timestamp():
        high = low + DAY
        following = _offset(info, high)
        if following != offset:
            found.append(Change(_bisect(info, low, high, offset), offset, following))
        low, offset = high, following
    return tuple(found)


def _bisect(info: ZoneInfo, low: int, high: int, offset: int) -> int:
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(info, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(info: ZoneInfo, moment: int) -> int:
    delta = datetime.fromtimestamp(moment, info).utcoffset()
    assert delta is not None  # noqa: S101 - every zone of the data has offsets
    return int(delta.total_seconds())


@cache
def distinct_zones() -> dict[str, tuple[Change, ...]]:
    """One zone of each kind: others that change their clocks alike, from the same offset on, are
    left out.
    """
    kinds: dict[tuple[int, tuple[Change, ...]], str] = {}
    for zone in sorted(zoneinfo.available_timezones()):
        changes = changes_of(zone)
        kinds.setdefault((_offset(ZoneInfo(zone), int(FIRST.timestamp())), changes), zone)
    return {zone: changes for (_, changes), zone in kinds.items()}


def all_zones() -> dict[str, tuple[Change, ...]]:
    """Every zone by its own name."""
    return {zone: changes_of(zone) for zone in sorted(zoneinfo.available_timezones())}


def breaches_of(zone: str, changes: tuple[Change, ...], step: int) -> Iterator[str]:
    """What the service offers wrongly around the changes of a zone; nothing is what there must be.

    Args:
        step: how many seconds lie between two instants that the oracle looks at.
    """
    rules = Rules(zone, dict.fromkeys(range(7), _HOURS), _SLOT, step=step)
    hours = _service_hours(zone, _HOURS, _SLOT)
    always = _service_hours(zone, ((0, 1440),), FIVE // 60)
    for change in changes or (Change(int(FIRST.timestamp()), 0, 0),):
        local = datetime.fromtimestamp(change.moment, ZoneInfo(zone)).date()
        days = [local + timedelta(days=n) for n in (-1, 0, 1)]
        for day in days:
            offered = list(hours.grid(day).slots)
            if offered != rules.starts(day):
                yield f"{zone}, {day}: offered are other times than the wall clock's"
            yield from _misread(zone, day, offered)
        yield from _not_all_once(zone, always, days, change)


def _misread(zone: str, day: date, offered: list[int]) -> Iterator[str]:
    """A start's wall-clock reading must be one of its date, and lead back to it: none in a gap."""
    info = ZoneInfo(zone)
    for start in offered:
        local = datetime.fromtimestamp(start, info)
        minute = local.hour * 60 + local.minute
        if local.date() != day or not any(begin <= minute < end for begin, end in _HOURS):
            yield f"{zone}, {day}: {local.isoformat()} is none of the hours"
        if local.timestamp() != start:
            yield f"{zone}, {day}: {local.isoformat()} is no time that the clocks show"
    if len(set(offered)) != len(offered):
        yield f"{zone}, {day}: an instant is offered twice"


def _not_all_once(zone: str, always: Hours, days: list[date], change: Change) -> Iterator[str]:
    """A doctor who is always there has each 5 minutes of those days once, and no others."""
    found = [start for day in days for start in always.grid(day).slots]
    if not found or found != list(range(found[0], found[-1] + FIVE, FIVE)):
        yield f"{zone}, {days[1]}: the days don't join without gap or overlap"
    # Three days, less what the clocks skip or more what they repeat (once a change, in that time).
    seconds = len(found) * FIVE
    expected = 3 * DAY - (change.after - change.before)
    if seconds != expected:
        yield f"{zone}, {days[1]}: three days have {seconds} s, and not {expected}"


def _service_hours(zone: str, hours: tuple[Span, ...], slot: int) -> Hours:
    weekly = {day: tuple(Interval(*span) for span in hours) for day in WEEKDAYS}
    schedule = Schedule(
        doctor_id="doctor",
        timezone=zone,
        weekly=weekly,
        slot_minutes=slot,
        buffer_before_minutes=0,
        buffer_after_minutes=0,
        min_notice_minutes=0,
        horizon_days=730,
        version=1,
        valid_from=FIRST,
    )
    return Hours(schedule, {})
