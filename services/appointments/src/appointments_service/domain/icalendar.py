"""Appointments as an iCalendar object (RFC 5545).

Own lines and no library: `icalendar`, the well-kept one, takes 6 MiB of an idle instance and 0.4 ms
an event, more than ten times what writing these few properties takes. So the tests can read back
with it, and with another, what was written without them.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import Appointment, Status
from appointments_service.domain.availability import constant_offsets, moment_of
from appointments_service.domain.buckets import DAY_SECONDS

LINE_OCTETS = 75

_UTC_NAMES = frozenset({"UTC", "Etc/UTC"})
# A date's local year may be another than its UTC one.
_MARGIN = timedelta(days=2)
_HEAD: tuple[str, ...] = (
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    "PRODID:-//Smart Appointment Analytics Platform//appointments//EN",
    "CALSCALE:GREGORIAN",
    "METHOD:PUBLISH",
)

# What readers take for the end of a line, here or elsewhere: all become the one escape for it.
_BREAKS = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
# Not allowed in text (RFC 5545, 3.1), the C1 ones not wanted, and surrogates no UTF-8 at all.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPED = re.compile(r"([\\;,])")


def escape(text: str) -> str:
    """Any text as the value of a property of type TEXT (RFC 5545, 3.3.11)."""
    lines = _BREAKS.split(text)
    return r"\n".join(_ESCAPED.sub(r"\\\1", _CONTROLS.sub("", line)) for line in lines)


def fold(line: str) -> bytes:
    """A content line of any length in lines of at most 75 octets, CRLF and all (RFC 5545, 3.1).

    Never inside a character: readers that decode before they unfold would find broken ones.
    """
    raw = line.encode()
    if len(raw) <= LINE_OCTETS:
        return raw + b"\r\n"
    parts = []
    start, room = 0, LINE_OCTETS
    while len(raw) - start > room:
        end = start + room
        while raw[end] & 0xC0 == 0x80:  # a character goes on there
            end -= 1
        parts.append(raw[start:end])
        start, room = end, LINE_OCTETS - 1  # the others begin with a space
    parts.append(raw[start:])
    return b"\r\n ".join(parts) + b"\r\n"


class CalendarWriter:
    """A calendar to which appointments are added, and which is then written at once.

    Args:
        name: how it is called where it is subscribed to; None for one that is sent.
        refresh: how often subscribers are asked to come again.
    """

    def __init__(self, name: str | None = None, refresh: timedelta = timedelta(hours=1)) -> None:
        self._head = _HEAD
        if name is not None:
            minutes = int(refresh.total_seconds()) // 60
            self._head += (
                f"NAME:{escape(name)}",
                f"X-WR-CALNAME:{escape(name)}",
                f"REFRESH-INTERVAL;VALUE=DURATION:PT{minutes}M",
                f"X-PUBLISHED-TTL:PT{minutes}M",
            )
        self._events: list[bytes] = []
        self._years: dict[str, tuple[int, int]] = {}

    def add(self, appointments: Iterable[tuple[Appointment, str]]) -> None:
        """Adds appointments, each with the summary that its event is to have."""
        for appointment, summary in appointments:
            lines = self._event(appointment, summary)
            self._events.append(b"".join([fold(line) for line in lines]))

    def encode(self) -> bytes:
        """The whole object. The same appointments give the same bytes."""
        zones = [
            zone_lines(name, first, last) for name, (first, last) in sorted(self._years.items())
        ]
        parts = [fold(line) for line in self._head]
        parts += [fold(line) for lines in zones for line in lines]
        return b"".join([*parts, *self._events, fold("END:VCALENDAR")])

    def _event(self, appointment: Appointment, summary: str) -> Iterator[str]:
        # The moment of the last change and not of the writing, so that what hasn't changed is the
        # same bytes, and a subscriber can be told so.
        changed = _utc(appointment.updated_at)
        cancelled = appointment.status is Status.CANCELLED
        yield "BEGIN:VEVENT"
        yield f"UID:{uid_of(appointment)}"
        yield f"DTSTAMP:{changed}"
        yield f"LAST-MODIFIED:{changed}"
        yield f"SEQUENCE:{appointment.version - 1}"
        yield f"STATUS:{'CANCELLED' if cancelled else 'CONFIRMED'}"
        yield f"TRANSP:{'TRANSPARENT' if cancelled else 'OPAQUE'}"
        yield "CLASS:PRIVATE"
        yield from self._times(appointment)
        yield f"SUMMARY:{escape(summary)}"
        yield "END:VEVENT"

    def _times(self, appointment: Appointment) -> Iterator[str]:
        """Start and end by the clocks of the appointment's zone, or by UTC.

        By UTC also what touches an hour that the clocks repeat: a local time is always the first
        of both (RFC 5545, 3.3.5), so the second has no other name.
        """
        name = appointment.timezone
        zone = ZoneInfo(name)
        times = appointment.starts_at.astimezone(zone), appointment.ends_at.astimezone(zone)
        if name in _UTC_NAMES or any(time.fold for time in times):
            yield f"DTSTART:{_utc(appointment.starts_at)}"
            yield f"DTEND:{_utc(appointment.ends_at)}"
            return
        first, last = self._years.get(name, (times[0].year, times[1].year))
        self._years[name] = min(first, times[0].year), max(last, times[1].year)
        yield f"DTSTART;TZID={name}:{_local(times[0])}"
        yield f"DTEND;TZID={name}:{_local(times[1])}"


def uid_of(appointment: Appointment) -> str:
    """What an appointment is known by in every calendar and every mail, for good."""
    return f"{appointment.id}@appointments-platform"


@lru_cache(maxsize=256)
def zone_lines(name: str, first: int, last: int) -> tuple[str, ...]:
    """A VTIMEZONE that is right in the years from `first` to `last`, both included.

    Every change of the clocks is an observance of its own, as the zone's data has it: no rule has
    to be guessed for zones that have none, such as those that follow the moon.
    """
    zone = ZoneInfo(name)
    begin = datetime(first, 1, 1, tzinfo=UTC) - _MARGIN
    end = datetime(last + 1, 1, 1, tzinfo=UTC) + _MARGIN
    lines = ["BEGIN:VTIMEZONE", f"TZID:{name}"]
    before: int | None = None
    span = int(begin.timestamp()), int(end.timestamp())
    for start, _, offset in constant_offsets(zone, *span, sample=DAY_SECONDS):
        lines += _observance(zone, start, offset if before is None else before, offset)
        before = offset
    return (*lines, "END:VTIMEZONE")


def _observance(zone: ZoneInfo, start: int, before: int, offset: int) -> Iterator[str]:
    moment = datetime.fromtimestamp(start, zone)
    kind = "DAYLIGHT" if moment.dst() else "STANDARD"
    yield f"BEGIN:{kind}"
    # Its beginning is told by the clocks as they were before it.
    yield f"DTSTART:{_local(moment_of(start + before))}"
    yield f"TZOFFSETFROM:{_offset(before)}"
    yield f"TZOFFSETTO:{_offset(offset)}"
    yield f"TZNAME:{escape(moment.tzname() or '')}"
    yield f"END:{kind}"


def _offset(seconds: int) -> str:
    sign = "-" if seconds < 0 else "+"
    minutes, rest = divmod(abs(seconds), 60)
    return f"{sign}{minutes // 60:02}{minutes % 60:02}" + (f"{rest:02}" if rest else "")


def _local(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S")


def _utc(moment: datetime) -> str:
    return _local(moment.astimezone(UTC)) + "Z"
