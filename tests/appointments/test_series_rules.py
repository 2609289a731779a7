"""When the appointments of a series are, against a search of every five minutes."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appointments_service.domain.series import turns_of

ZONES = (
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
)
FIVE = timedelta(minutes=5)
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def by_search(wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """All instants, on five minutes, that show this wall-clock time."""
    around = wall.replace(tzinfo=UTC)
    tried = (around + FIVE * n for n in range(-15 * 12, 15 * 12 + 1))
    return tuple(one for one in tried if one.astimezone(zone).replace(tzinfo=None) == wall)


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    start=st.integers(0, 10 * 366 * 288),
    every_weeks=st.integers(1, 52),
    count=st.integers(1, 12),
)
def test_each_turn_has_all_instants_of_its_wall_clock_time(
    zone: ZoneInfo, start: int, every_weeks: int, count: int
) -> None:
    starts_at = BEGIN + FIVE * start
    first, *later = turns_of(starts_at, every_weeks, count, zone)
    assert (first.starts_at, first.instants) == (starts_at, (starts_at,))
    assert len(later) == count - 1
    wall = starts_at.astimezone(zone).replace(tzinfo=None)
    for turn in later:
        wall += timedelta(weeks=every_weeks)
        assert turn.instants == by_search(wall, zone)
        if turn.instants:
            assert turn.starts_at == turn.instants[0]
    for one, other in pairwise([first, *later]):
        assert other.starts_at - one.starts_at >= timedelta(days=6)


@pytest.mark.parametrize(
    ("starts_at", "zone", "instants"),
    [
        # Skipped: 02:30 of 29 March 2026; what the clocks before would show is 01:30 UTC.
        ("2026-03-22T01:30:00Z", "Europe/Berlin", []),
        # Repeated: 02:30 of 25 October 2026.
        ("2026-10-18T00:30:00Z", "Europe/Berlin", ["2026-10-25T00:30Z", "2026-10-25T01:30Z"]),
        # Half an hour is repeated.
        ("2026-03-28T14:45:00Z", "Australia/Lord_Howe", ["2026-04-04T14:45Z", "2026-04-04T15:15Z"]),
    ],
)
def test_where_clocks_change(starts_at: str, zone: str, instants: list[str]) -> None:
    moment = datetime.fromisoformat(starts_at)
    _, turn = turns_of(moment, 1, 2, ZoneInfo(zone))
    assert list(turn.instants) == [datetime.fromisoformat(one) for one in instants]
    assert turn.starts_at == moment + timedelta(weeks=1)
