"""What two libraries that others wrote make of our calendars is what was put into them."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import icalendar
import pytest
import vobject
from dateutil.tz import tzical
from hypothesis import given
from hypothesis import strategies as st

from appointments_service.domain.appointments import (
    ERASED,
    Actor,
    Appointment,
    Party,
    Status,
    booked,
    with_status,
)
from appointments_service.domain.availability import Slot
from appointments_service.domain.feeds import initials, summary_for
from appointments_service.domain.icalendar import (
    LINE_OCTETS,
    CalendarWriter,
    escape,
    fold,
    uid_of,
    zone_lines,
)

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "blns.json"
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FIRST, LAST = 2024, 2034
ZONES = sorted(available_timezones() - {"localtime", "Factory"})


def appointment(
    starts_at: datetime, zone: str = "UTC", *, minutes: int = 30, key: str = "k" * 26, **changed: Any
) -> Appointment:
    start = int(starts_at.timestamp())
    made = booked(
        key,
        Slot(start, start + minutes * 60, {}, {}),
        patient=Party("pat", "Zoë Anna Personal"),
        doctor=Party("doc", "Dr. Who"),
        timezone=zone,
        reason="a private reason",
        actor=Actor("pat", "patient"),
        now=NOW,
    )
    return replace(made, **changed)


def written(*appointments: Appointment, summary: str | None = None, role: str = "patient") -> bytes:
    writer = CalendarWriter("Appointments", timedelta(hours=1))
    writer.add((one, summary or summary_for(role, one)) for one in appointments)
    return writer.encode()


def by_icalendar(raw: bytes) -> dict[str, Any]:
    """The events by their ids, each zone as the object itself tells it and not as is known."""
    calendar = icalendar.Calendar.from_ical(raw)
    zones = {str(one["TZID"]): one.to_tz(lookup_tzid=False) for one in calendar.walk("VTIMEZONE")}
    events = {}
    for event in calendar.walk("VEVENT"):
        for name in ("DTSTART", "DTEND"):
            zone = event[name].params.get("TZID")
            local = event[name].dt
            moment = local if zone is None else local.replace(tzinfo=zones[zone])
            event[name] = moment.astimezone(UTC)
        events[str(event["UID"])] = event
    return events


def by_vobject(raw: bytes) -> dict[str, Any]:
    calendar = vobject.readOne(raw.decode())
    return {event.uid.value: event for event in calendar.contents.get("vevent", [])}


def around_clock_changes() -> Iterator[tuple[str, datetime]]:
    for zone, changes in {
        "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
        "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
        "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),
        "Africa/Casablanca": ("2026-02-15T02:00", "2026-03-22T02:00"),
        "America/Santiago": ("2026-04-05T03:00", "2026-09-06T04:00"),
        "Asia/Kathmandu": ("2026-05-05T12:15",),
        "Etc/GMT+5": ("2026-05-05T12:15",),
        "UTC": ("2026-05-05T12:15",),
    }.items():
        for change in changes:
            for minutes in range(-180, 181, 15):
                moment = datetime.fromisoformat(change).replace(tzinfo=UTC)
                yield zone, moment + timedelta(minutes=minutes)


def test_two_libraries_read_the_instants_that_were_written() -> None:
    made = [
        appointment(moment, zone, key=f"{n:026}", minutes=20)
        for n, (zone, moment) in enumerate(around_clock_changes())
    ]
    raw = written(*made)
    one, other = by_icalendar(raw), by_vobject(raw)
    assert len(one) == len(other) == len(made)
    for wanted in made:
        uid = uid_of(wanted)
        times = (wanted.starts_at, wanted.ends_at)
        assert (one[uid]["DTSTART"], one[uid]["DTEND"]) == times
        read = other[uid].dtstart.value, other[uid].dtend.value
        assert tuple(time.astimezone(UTC) for time in read) == times, wanted


def test_an_event_tells_what_it_must() -> None:
    first = appointment(NOW + timedelta(days=1), "Europe/Berlin", key="a" * 26)
    moved = replace(first, version=3, updated_at=NOW + timedelta(hours=1))
    gone = with_status(
        moved, Status.CANCELLED, actor=Actor("pat", "patient"), now=NOW, note="private"
    )
    rows = [by_icalendar(written(one))[uid_of(first)] for one in (first, moved, gone)]
    assert [row["SEQUENCE"] for row in rows] == [0, 2, 3]
    assert [str(row["STATUS"]) for row in rows] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    assert [str(row["TRANSP"]) for row in rows] == ["OPAQUE", "OPAQUE", "TRANSPARENT"]
    assert [row["DTSTAMP"].dt for row in rows] == [NOW, NOW + timedelta(hours=1), NOW]
    assert uid_of(first) == uid_of(gone) == f"{first.id}@appointments-platform"
    assert b"private" not in written(first, moved, gone)
    calendar = icalendar.Calendar.from_ical(written(first))
    assert (str(calendar["METHOD"]), str(calendar["NAME"])) == ("PUBLISH", "Appointments")
    assert calendar["REFRESH-INTERVAL"].dt == timedelta(hours=1)
    assert calendar["PRODID"]
    assert not calendar.errors


def test_the_same_is_the_same_bytes_and_nothing_is_a_calendar_too() -> None:
    one = appointment(NOW, "Europe/Berlin")
    assert written(one) == written(one)
    assert list(by_icalendar(written())) == []
    assert by_vobject(written()) == {}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Zoë Anna Personal", "Z. P."),
        ("Zoë Personal", "Z. P."),
        ("Zoë", "Z."),
        ("王小明", "王."),
        (ERASED, ""),
        ("", ""),
        ("  - ", ""),
    ],
)
def test_of_a_patient_only_initials_are_told(name: str, told: str) -> None:
    assert initials(name) == told
    one = appointment(NOW, patient_name=name)
    assert summary_for("doctor", one) == (f"Appointment ({told})" if told else "Appointment")
    assert summary_for("patient", one) == "Appointment with Dr. Who"


def hostile() -> list[str]:
    """Texts that have broken programs, where they are at hand."""
    return json.loads(VECTORS.read_text()) if VECTORS.exists() else []


BREAKS = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
LOST = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def kept(text: str) -> str:
    """What of a text must be read again."""
    return LOST.sub("", BREAKS.sub("\n", text))


def check_summary(text: str) -> None:
    raw = written(appointment(NOW), summary=text or None)
    for line in raw.removesuffix(b"\r\n").split(b"\r\n"):
        assert len(line) <= LINE_OCTETS
        line.decode()  # no character is torn
        assert not set(line) & {*range(9), *range(10, 32), 127}
    assert raw.replace(b"\r\n", b"").count(b"\n") == 0
    if text:
        uid = uid_of(appointment(NOW))
        assert str(by_icalendar(raw)[uid]["SUMMARY"]) == kept(text)
        assert by_vobject(raw)[uid].summary.value == kept(text)


def test_hostile_texts_are_read_again_as_they_were() -> None:
    for text in (*hostile(), "a;b,c\\n\\;\nd:\"e\"", "END:VEVENT\r\nBEGIN:VEVENT", "é" * 200):
        check_summary(text)


@given(st.text(st.characters(), max_size=300))
def test_any_text_is_read_again_as_it_was(text: str) -> None:
    check_summary(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_a_folded_line_unfolds_to_itself(text: str) -> None:
    line = "X:" + escape(text)
    raw = fold(line)
    assert raw.endswith(b"\r\n")
    assert raw[:-2].replace(b"\r\n ", b"").decode() == line
    pieces = raw[:-2].split(b"\r\n")
    assert all(len(piece) <= LINE_OCTETS for piece in pieces)
    # As few lines as there can be: a character has at most 4 octets.
    assert all(len(piece) > LINE_OCTETS - 4 for piece in pieces[:-1])


def instants(zone: ZoneInfo) -> Iterator[datetime]:
    """Every so often, and on both sides of each change of the clocks."""
    moment, end = datetime(FIRST, 1, 1, tzinfo=UTC), datetime(LAST + 1, 1, 1, tzinfo=UTC)
    step = timedelta(days=5, hours=7)
    before = moment.astimezone(zone).utcoffset()
    while moment < end:
        yield moment
        offset = (moment + step).astimezone(zone).utcoffset()
        if offset != before:
            low, high = moment, moment + step
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) / 2
                if middle.astimezone(zone).utcoffset() == before:
                    low = middle
                else:
                    high = middle
            yield from (high + timedelta(minutes=n) for n in (-121, -61, -31, -2, 2, 31, 61, 121))
            before = offset
        moment += step


def test_every_zone_is_told_as_its_data_has_it() -> None:
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in ZONES:
        alike.setdefault(zone_lines(name, FIRST, LAST)[2:], []).append(name)
    wrong = []
    for lines, names in alike.items():
        head = ("BEGIN:VCALENDAR", "BEGIN:VTIMEZONE", "TZID:X")
        text = "\r\n".join([*head, *lines, "END:VCALENDAR", ""])
        told = {
            "icalendar": icalendar.Calendar.from_ical(text)
            .walk("VTIMEZONE")[0]
            .to_tz(lookup_tzid=False),
            "dateutil": tzical(io.StringIO(text)).get("X"),
        }
        zones = {name: ZoneInfo(name) for name in names}
        for moment in instants(zones[names[0]]):
            offsets = {name: moment.astimezone(zone).utcoffset() for name, zone in zones.items()}
            local = moment.astimezone(zones[names[0]])
            if not local.fold:  # the second of both is told by UTC
                bare = local.replace(tzinfo=None)
                offsets |= {reader: zone.utcoffset(bare) for reader, zone in told.items()}
            if len(set(offsets.values())) > 1:
                wrong.append((moment.isoformat(), offsets))
    assert not wrong, (len(wrong), wrong[:5])
    assert len(alike) > 50
