"""What stands in the mails about appointments, read back by libraries that others wrote."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any
from zoneinfo import available_timezones

import icalendar
import pytest

from appointments_service.domain.appointments import (
    Actor,
    Appointment,
    Party,
    Status,
    booked,
    moved,
    with_status,
)
from appointments_service.domain.availability import Slot
from appointments_service.domain.icalendar import uid_of
from appointments_service.domain.letters import letter_of, one_line
from appointments_service.domain.notices import Kind, Letter
from servicekit.mail import Mail
from servicekit.mail_ses import message_of
from tests.appointments.conftest import NOW

BASE = "https://clinic.example"
PATIENT = Actor("pat", "patient")
NINE = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


def slot(starts_at: datetime, minutes: int = 30) -> Slot:
    start = int(starts_at.timestamp())
    return Slot(start, start + minutes * 60, {}, {})


def appointment(
    starts_at: datetime = NINE,
    *,
    zone: str = "Europe/London",
    doctor: str = "Dr. Who",
    minutes: int = 30,
    key: str = "k",
) -> Appointment:
    return booked(
        key * 26,
        slot(starts_at, minutes),
        patient=Party("pat", "Zoë Personal"),
        doctor=Party("doc", doctor),
        timezone=zone,
        reason="a private reason",
        actor=PATIENT,
        now=NOW,
    )


def letter(
    one: Appointment,
    kind: Kind = Kind.BOOKED,
    timezone: str = "Europe/London",
    locale: str = "en_GB",
) -> Letter:
    return letter_of(kind, [one], timezone, locale=locale, base=BASE)


def events(letter: Letter) -> list[Any]:
    calendar = icalendar.Calendar.from_ical(letter.event)
    assert calendar["METHOD"] == "PUBLISH"
    return list(calendar.walk("VEVENT"))


def test_a_booking_in_words() -> None:
    told = letter(appointment())
    assert told.subject == "Your appointment is booked: Tuesday, 3 March 2026"
    assert told.text == (
        "This is booked for you, with Dr. Who:\n\n"
        "Tuesday, 3 March 2026\n"
        "09:00 - 09:30 (Greenwich Mean Time, Europe/London)\n\n"
        "It can be moved or cancelled at https://clinic.example\n\n"
        "The attached file is for your calendar.\n"
    )


def test_the_recipients_clocks_come_first_and_the_doctors_where_they_differ() -> None:
    told = letter(appointment(NINE + timedelta(hours=8)), timezone="Asia/Tokyo")
    assert told.subject.endswith("Wednesday, 4 March 2026")  # there it is tomorrow already
    assert (
        "Wednesday, 4 March 2026\n02:00 - 02:30 (Japan Standard Time, Asia/Tokyo)\n"
        "where the doctor is:\n"
        "Tuesday, 3 March 2026\n17:00 - 17:30 (Greenwich Mean Time, Europe/London)\n"
    ) in told.text
    same = letter(appointment(), timezone="Africa/Abidjan")  # other names, the same clocks
    assert "where the doctor is" not in same.text


@pytest.mark.parametrize(
    ("starts_at", "minutes", "said"),
    [
        # The hour from 1 to 2 is there twice; its name tells which.
        ("2026-10-25T00:10Z", 30, "01:10 - 01:40 (British Summer Time, Europe/London)"),
        ("2026-10-25T01:10Z", 30, "01:10 - 01:40 (Greenwich Mean Time, Europe/London)"),
        (
            "2026-10-25T00:40Z",
            40,
            "01:40 (British Summer Time, Europe/London) - 01:20 (Greenwich Mean Time,"
            " Europe/London)",
        ),
        (
            "2026-03-29T00:45Z",
            30,
            "00:45 (Greenwich Mean Time, Europe/London) - 02:15 (British Summer Time,"
            " Europe/London)",
        ),
        (
            "2026-06-01T22:45Z",
            30,
            "Monday, 1 June 2026, 23:45 -\n"
            "Tuesday, 2 June 2026, 00:15 (British Summer Time, Europe/London)",
        ),
    ],
)
def test_where_the_clocks_change_no_time_means_two(starts_at: str, minutes: int, said: str) -> None:
    at = datetime.fromisoformat(starts_at)
    assert f"{said}\n" in letter(appointment(at, minutes=minutes)).text


@pytest.mark.parametrize(
    ("locale", "date", "time"),
    [
        ("en", "Tuesday, March 3, 2026", "9:00\u202fAM - 9:30\u202fAM (Greenwich Mean Time"),
        ("de", "Dienstag, 3. März 2026", "09:00 - 09:30 (Mittlere Greenwich-Zeit"),
        ("fr", "mardi 3 mars 2026", "09:00 - 09:30 (heure moyenne de Greenwich"),
        ("ja", "2026年3月3日火曜日", "9:00 - 9:30 (グリニッジ標準時"),
    ],
)
def test_dates_are_as_the_locale_writes_them(locale: str, date: str, time: str) -> None:
    told = letter(appointment(), locale=locale)
    assert date in told.subject
    assert f"{date}\n{time}" in told.text


def test_every_zone_has_words() -> None:
    one = appointment()
    for zone in sorted(available_timezones() - {"localtime", "Factory"}):
        text = letter(one, timezone=zone).text
        assert f", {zone})" in text, zone


@pytest.mark.parametrize("kind", Kind)
def test_nothing_is_told_but_what_is_needed(kind: Kind) -> None:
    told = letter(appointment(), kind)
    everything = told.subject + told.text + told.event.decode()
    for private in ("private reason", "Zoë", "Personal"):
        assert private not in everything
    assert "Dr. Who" not in told.subject


def test_the_event_follows_the_appointment() -> None:
    one = appointment()
    later = moved(one, slot(NINE + timedelta(days=1)), timezone="UTC", actor=PATIENT, now=NOW)
    gone = with_status(later, Status.CANCELLED, actor=PATIENT, now=NOW, note="a private note")
    steps = [(one, Kind.BOOKED), (later, Kind.MOVED), (gone, Kind.CANCELLED)]
    read = [event for step, kind in steps for event in events(letter(step, kind))]
    assert [event["UID"] for event in read] == [uid_of(one)] * 3
    assert [event["SEQUENCE"] for event in read] == [0, 1, 2]
    assert [event["STATUS"] for event in read] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    assert [event["DTSTART"].dt for event in read] == [NINE, *[NINE + timedelta(days=1)] * 2]
    assert "booked at https://clinic.example" in letter(gone, Kind.CANCELLED).text


def test_a_series_is_one_letter() -> None:
    ones = [appointment(NINE + timedelta(weeks=n), key=str(n)) for n in range(3)]
    told = letter_of(Kind.BOOKED, ones, "Europe/London", locale="en_GB", base=BASE)
    assert told.subject == "Your 3 appointments are booked"
    for date in ("3 March", "10 March", "17 March"):
        assert f"Tuesday, {date} 2026\n09:00" in told.text
    assert [event["DTSTART"].dt for event in events(told)] == [one.starts_at for one in ones]


HOSTILE = [
    "Dr. Who\r\nBcc: eve@evil.example\r\n\r\nHello",
    "Dr.\nWho\n.\nQUIT",
    "Dr. \u202eohW\u2028Bcc: x\x00\x85\u200b",
    "{doctor} %s {0.__class__}",
    "=?utf-8?q?Bcc:_eve?=",
    "END:VEVENT\r\nATTENDEE:mailto:eve@evil.example",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", Kind)
def test_a_hostile_name_begins_neither_header_nor_line(kind: Kind, name: str) -> None:
    told = letter(appointment(doctor=name), kind)
    raw = message_of(
        Mail(kind, "ana@a.example", told.subject, told.text, told.event), "desk@a.example", "a@b.c"
    )
    message = message_from_bytes(raw, policy=default)
    assert set(message.keys()) == {"From", "To", "Subject", "Content-Type", "MIME-Version"}
    text, event = message.iter_parts()
    attached = event.get_payload(decode=True)
    assert isinstance(attached, bytes)
    plain = text.get_content()
    assert one_line(name) in plain
    harmless = letter(replace(appointment(), doctor_name="Dr. Who"), kind)
    assert plain.count("\n") == harmless.text.count("\n")
    [read] = icalendar.Calendar.from_ical(attached).walk("VEVENT")
    assert "ATTENDEE" not in read
