"""Time as it is locked: 5-minute buckets of UTC days.

UTC days, so that no change of zone or of clocks can give one moment two names. A set of buckets of
one day is a bit mask: bit n is the n-th 5 minutes of the day, 0 to 287.
"""

from collections.abc import Iterator, Mapping
from datetime import date

BUCKET_SECONDS = 300
DAY_SECONDS = 86_400
BUCKETS_PER_DAY = DAY_SECONDS // BUCKET_SECONDS

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

Claims = Mapping[int, int]
"""UTC day (days since 1970-01-01) → mask of the buckets claimed on it."""

FREE: Claims = {}


def claims_of(start: int, end: int) -> dict[int, int]:
    """The buckets that `[start, end)` touches, in Unix seconds."""
    first = start // BUCKET_SECONDS
    last = -(-end // BUCKET_SECONDS)
    claims: dict[int, int] = {}
    while first < last:
        day, bucket = divmod(first, BUCKETS_PER_DAY)
        until = min(last, (day + 1) * BUCKETS_PER_DAY)
        claims[day] = ((1 << (until - first)) - 1) << bucket
        first = until
    return claims


def overlap(one: Claims, other: Claims) -> bool:
    """Whether two sets of buckets have one in common."""
    return any(mask & other.get(day, 0) for day, mask in one.items())


def buckets_in(mask: int) -> Iterator[int]:
    """The numbers of a mask's buckets, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - _EPOCH_ORDINAL


def date_of(day: int) -> date:
    """The date of a day's number."""
    return date.fromordinal(day + _EPOCH_ORDINAL)
