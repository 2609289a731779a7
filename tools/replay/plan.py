"""Decides beforehand who books whom and when: pure, and the same again for the same seed.

The file knows neither doctors nor times of day. A neighbourhood is given as many doctors as its
busiest day needs, and each appointment a time of one of them that no other has, nor the same
patient elsewhere: so every booking must succeed, and one that doesn't is an error of the system.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tools.replay.rows import Rejected, Row

TIMEZONE = "America/Sao_Paulo"  # of Vitória, where these appointments were
SLOT_MINUTES = 30
SLOTS = 16
"""Bookings that a doctor is given a day, from `OPENS` on. As many again are left for moves."""

OPENS, CLOSES = time(7), time(23)
MAX_HORIZON_DAYS = 730  # the contract's bound
_MOVED_BY = timedelta(minutes=SLOTS * SLOT_MINUTES)
_WEEK = timedelta(days=7)
_ZONE = ZoneInfo(TIMEZONE)


class PlanError(Exception):
    """The rows can't all be replayed at once."""


class Step(Enum):
    """What happens to an appointment after it was booked.

    The moves are translations of the whole plan to times that it leaves free, so they can't meet.
    """

    MOVE_LATER = "to the same doctor's later hours"
    MOVE_WEEKS = "to the same time in weeks after the replay's last"
    CANCEL = "cancel"
    CHECK_IN = "check-in"
    COMPLETE = "complete"


# The shares of 100 appointments, where life is asked for. Nobody can fail to show up in the future.
_LIVES: Sequence[tuple[int, tuple[Step, ...]]] = (
    (55, ()),
    (10, (Step.MOVE_LATER,)),
    (10, (Step.MOVE_WEEKS,)),
    (10, (Step.CANCEL,)),
    (5, (Step.MOVE_LATER, Step.CANCEL)),
    (7, (Step.CHECK_IN, Step.COMPLETE)),
    (3, (Step.CHECK_IN, Step.CANCEL)),
)


class DoctorKey(NamedTuple):
    """A doctor of a neighbourhood, numbered from 0."""

    neighbourhood: str
    number: int


class Booking(NamedTuple):
    """A row with what the file doesn't say.

    Attributes:
        starts_at: aware, UTC.
        steps: what happens to it afterwards, with the time of each move.
    """

    row: Row
    doctor: DoctorKey
    starts_at: datetime
    steps: tuple[tuple[Step, datetime | None], ...]


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        weeks: by how many the rows' dates are moved.
        bookings: in the order in which they were made in reality.
        unplaced: rows for which there can be no time.
        horizon_days: how far ahead the doctors must take bookings.
    """

    weeks: int
    doctors: list[DoctorKey]
    bookings: list[Booking]
    unplaced: list[Rejected]
    horizon_days: int


def make_plan(rows: Sequence[Row], *, today: date, seed: int, life: bool = False) -> Plan:
    """Plan the rows, their weekdays kept, from the day after tomorrow on: whatever zone `today` is
    of, and however long the replay takes, none is too soon.

    Raises:
        PlanError: they span more than can be booked ahead.
    """
    if not rows:
        return Plan(0, [], [], [], 1)
    first = min(row.day for row in rows)
    last = max(row.day for row in rows)
    weeks = -((first - today - timedelta(days=2)) // _WEEK)
    span = _WEEK * ((last - first) // _WEEK + 1)
    horizon = (last + weeks * _WEEK + span - today).days + 2
    if horizon > MAX_HORIZON_DAYS:
        raise PlanError(
            f"the appointments span {first} to {last}, more than {MAX_HORIZON_DAYS} days ahead can "
            "hold: take fewer with --limit"
        )
    placed, unplaced = _place(rows, seed)
    bookings = []
    for row, (doctor, slot) in placed:
        local = datetime.combine(row.day + weeks * _WEEK, OPENS, _ZONE)
        starts_at = (local + timedelta(minutes=slot * SLOT_MINUTES)).astimezone(UTC)
        steps = _steps(row, starts_at, span, seed) if life else ()
        bookings.append(Booking(row, doctor, starts_at, steps))
    bookings.sort(key=lambda booking: (booking.row.made, booking.row.number))
    doctors = sorted({booking.doctor for booking in bookings})
    return Plan(weeks, doctors, bookings, unplaced, horizon)


_Cell = tuple[DoctorKey, int]


def _place(rows: Sequence[Row], seed: int) -> tuple[list[tuple[Row, _Cell]], list[Rejected]]:
    """Give each row a doctor and one of the day's slots."""
    visits = Counter((row.patient, row.day) for row in rows)
    groups: defaultdict[tuple[date, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.day, row.neighbourhood].append(row)
    taken: defaultdict[tuple[str, date], set[int]] = defaultdict(set)
    placed: list[tuple[Row, _Cell]] = []
    unplaced: list[Rejected] = []
    for (day, neighbourhood), group in sorted(groups.items()):
        shuffle = random.Random(f"{seed} {neighbourhood} {day}").shuffle
        doctors = -(-len(group) // SLOTS)
        cells = [cell for number in range(doctors) for cell in _day(neighbourhood, number)]
        shuffle(cells)
        # Whoever has most appointments that day chooses first, since it has the least choice.
        group.sort(key=lambda row: (-visits[row.patient, row.day], row.number))
        for row in group:
            busy = taken[row.patient, day]
            if len(busy) == SLOTS:
                reason = f"patient {row.patient} has more than {SLOTS} appointments on {day}"
                unplaced.append(Rejected(row.number, reason))
                continue
            index = _first_free(cells, busy)
            if index is None:  # only times that collide are left: one more doctor has others
                index = len(cells)
                cells += _day(neighbourhood, doctors)
                doctors += 1
                index += _first_free(cells[index:], busy) or 0
            cell = cells.pop(index)
            busy.add(cell[1])
            placed.append((row, cell))
    return placed, unplaced


def _day(neighbourhood: str, number: int) -> list[_Cell]:
    return [(DoctorKey(neighbourhood, number), slot) for slot in range(SLOTS)]


def _first_free(cells: Iterable[_Cell], busy: set[int]) -> int | None:
    return next((n for n, (_, slot) in enumerate(cells) if slot not in busy), None)


def _steps(
    row: Row, starts_at: datetime, span: timedelta, seed: int
) -> tuple[tuple[Step, datetime | None], ...]:
    draw = random.Random(f"{seed} {row.appointment}")
    [chosen] = draw.choices([steps for _, steps in _LIVES], [share for share, _ in _LIVES])
    moves = {Step.MOVE_LATER: starts_at + _MOVED_BY, Step.MOVE_WEEKS: starts_at + span}
    return tuple((step, moves.get(step)) for step in chosen)
