"""Series: the same time of the same weekday, by the clock on the wall, every so many weeks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from appointments_service.domain.availability import Hours, Slot, find_slot

# Two of a series are a week apart by the clocks, which nowhere change by more than a day: their
# claims, with buffers, never meet.
_APART = timedelta(days=6)


@dataclass(frozen=True, slots=True)
class Turn:
    """One appointment of a series, as far as the clocks tell.

    Attributes:
        starts_at: its start; where the clocks skip it, what the clocks before that would show.
        instants: all that have the series' wall-clock time on its date, in order: two in a
            repeated hour, none in a skipped one.
    """

    starts_at: datetime
    instants: tuple[datetime, ...]


def turns_of(starts_at: datetime, every_weeks: int, count: int, zone: ZoneInfo) -> list[Turn]:
    """The turns of a series in order, the first of them at `starts_at` whatever its zone says.

    Those that lie outside of the years 1 to 9999 are left out, never the first.
    """
    turns = [Turn(starts_at, (starts_at,))]
    try:
        turns += _later(starts_at, every_weeks, count, zone)
    except OverflowError:  # the first one can't be booked then, so nobody misses the others
        return turns
    if any(later.starts_at - earlier.starts_at < _APART for earlier, later in pairwise(turns)):
        raise ValueError("two appointments of a series are less than six days apart")
    return turns


def _later(starts_at: datetime, every_weeks: int, count: int, zone: ZoneInfo) -> Iterator[Turn]:
    first = starts_at.astimezone(zone).replace(tzinfo=None, fold=0)
    for number in range(1, count):
        wall = first + timedelta(weeks=every_weeks * number)
        read = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        shown = {one for one in read if one.astimezone(zone).replace(tzinfo=None, fold=0) == wall}
        instants = tuple(sorted(shown))
        yield Turn(instants[0] if instants else read[0], instants)


def slot_of(turn: Turn, hours: Hours, now: datetime) -> Slot | str:
    """The slot of a turn, or the code of why the hours don't allow it.

    Of two instants with the same wall-clock time it is the first that is a slot. A time that the
    clocks skip lies in no hours.
    """
    found = [find_slot(hours, instant, now) for instant in turn.instants or (turn.starts_at,)]
    if not turn.instants:
        return found[0] if isinstance(found[0], str) else "outside_hours"
    return next((slot for slot in found if isinstance(slot, Slot)), found[0])
