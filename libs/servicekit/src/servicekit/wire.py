"""The field types that every service's wire uses: instants, dates, ids, zones, text.

What the contract says of them: instants are RFC 3339 with an offset, answers always UTC with `Z`;
ids are opaque URL-safe text of at most 80 characters; unknown fields of a body are refused.
"""

import re
import zoneinfo
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

# The system's zone data may be years old. The tzdata package's is pinned, and the same everywhere.
zoneinfo.reset_tzpath(())

ID_PATTERN = r"^[A-Za-z0-9_-]{1,80}$"
is_id = re.compile(ID_PATTERN[:-1] + r"\Z").match

# The offset's sign may come as a space: an unescaped `+` in a query string means one.
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?"
    r"(?:([Zz])|([+\- ])(\d\d):(\d\d))",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Wire(BaseModel):
    """A body or an answer: immutable, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Wire):
    """The body of an operation that needs no input: none, an empty one, or `{}`."""


class NoQuery(Wire):
    """The query of an operation that has no parameters."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Query(Wire):
    """A query string's parameters. Ones that we don't know are ignored, as proxies add them."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def parse_instant(text: str) -> datetime:
    """RFC 3339 text with an offset as an aware UTC datetime.

    Raises:
        ValueError: for anything else, also for a moment outside of the years 1 to 9999 in UTC.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 instant with an offset")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    micros = int((match[7] or "").ljust(6, "0")[:6])
    offset = UTC if match[8] else _offset(match[9], int(match[10]), int(match[11]))
    try:
        local = datetime(year, month, day, hour, minute, second, micros, tzinfo=offset)
        return local.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside of the years 1 to 9999") from error


def _offset(sign: str, hours: int, minutes: int) -> timezone:
    if hours > 23 or minutes > 59:
        raise ValueError("not an offset")
    delta = timedelta(hours=hours, minutes=minutes)
    return timezone(-delta if sign == "-" else delta)


def format_instant(moment: datetime) -> str:
    """An aware datetime as RFC 3339 in UTC with `Z`; a fraction only where there is one."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_date(text: str) -> date:
    """`YYYY-MM-DD` as a date. Raises ValueError for anything else."""
    if not _DATE.fullmatch(text):
        raise ValueError("not a date as YYYY-MM-DD")
    return date.fromisoformat(text)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def zone_name(text: str) -> str:
    """An IANA zone's name, as it is. Raises ValueError for an unknown one."""
    if text not in _zone_names():
        raise ValueError("not an IANA time zone")
    return text


def _from_text(parse: Any) -> BeforeValidator:
    def validate(value: object) -> object:
        if isinstance(value, str):
            return parse(value)
        if isinstance(value, date):  # our own code building an answer; a datetime is one too
            return value
        raise ValueError("must be text")

    return BeforeValidator(validate)


Instant = Annotated[
    datetime,
    _from_text(parse_instant),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Date = Annotated[
    date,
    _from_text(parse_date),
    PlainSerializer(date.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date"}),
]
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
ZoneName = Annotated[
    str,
    StringConstraints(max_length=64),
    AfterValidator(zone_name),
    WithJsonSchema({"type": "string", "description": "IANA time zone", "maxLength": 64}),
]
