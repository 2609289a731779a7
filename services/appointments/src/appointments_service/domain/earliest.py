"""The earliest open slots over many calendars, and when it is certain that they are."""

import heapq
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

_WIDEST = 16


class Offer(NamedTuple):
    """An open slot of a doctor, in Unix seconds. Offers are ordered by start, then by doctor."""

    start: int
    doctor_id: str
    end: int


def merged(streams: Iterable[Iterable[Offer]], limit: int) -> list[Offer]:
    """The first so many of several streams that are in order; no further than that is looked."""
    return list(islice(heapq.merge(*streams), limit))


def first_moment(day: date, zones: Iterable[str]) -> int:
    """The first moment at which it is that date in any of the zones, in Unix seconds."""
    # Of a midnight that comes twice the first; of one that is skipped, the moment it is skipped.
    return int(
        min(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(z)).timestamp() for z in zones)
    )


def windows(first: date, last: date) -> Iterator[tuple[date, date]]:
    """The dates from `first` to `last` in spans of 1, 2, 4, 8, 16, 16 … of them.

    Most searches end with the first; one that finds nothing looks at all in few steps, none of
    which takes more of hundreds of doctors' days than may be kept of them.
    """
    begin, days = first.toordinal(), 1
    while begin <= last.toordinal():
        end = min(begin + days - 1, last.toordinal())
        yield date.fromordinal(begin), date.fromordinal(end)
        begin, days = end + 1, min(days * 2, _WIDEST)
