"""What stands in the mails about appointments.

Nothing that a person typed does, but the doctor's name, in the text: not the reason, nor a note,
and no name is in a header. Dates and times are as people of the locale write them (by Babel, which
has it from Unicode's CLDR) and by the clocks of whom it is told.

This module is imported for the first mail: what it takes of memory, nobody pays who sends none.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_name

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.feeds import summary_for
from appointments_service.domain.icalendar import CalendarWriter
from appointments_service.domain.notices import Kind, Letter

_SUBJECTS: Final = {
    Kind.BOOKED: "Your appointment is booked: {date}",
    Kind.MOVED: "Your appointment was moved: {date}",
    Kind.CANCELLED: "Your appointment was cancelled: {date}",
    Kind.REMINDER: "Your appointment is soon: {date}",
}
_SUBJECTS_OF_MANY: Final = {
    Kind.BOOKED: "Your {count} appointments are booked",
    Kind.MOVED: "Your {count} appointments were moved",
    Kind.CANCELLED: "Your {count} appointments were cancelled",
    Kind.REMINDER: "Your {count} appointments are soon",
}
_OPENINGS: Final = {
    Kind.BOOKED: "This is booked for you, with {doctor}:",
    Kind.MOVED: "Your appointment with {doctor} was moved. It is now:",
    Kind.CANCELLED: "This appointment with {doctor} was cancelled:",
    Kind.REMINDER: "This is to remind you of your appointment with {doctor}:",
}


def letter_of(
    kind: Kind, appointments: Sequence[Appointment], timezone: str, *, locale: str, base: str
) -> Letter:
    """A notice of one or several appointments with one doctor, in words.

    Args:
        timezone: the recipient's.
        locale: how dates are written, such as `en_GB`.
        base: the address that people sign in at.
    """
    how = Locale.parse(locale)
    first = appointments[0]
    subject = _SUBJECTS[kind] if len(appointments) == 1 else _SUBJECTS_OF_MANY[kind]
    date = format_date(first.starts_at.astimezone(ZoneInfo(timezone)), "full", locale=how)
    opening = _OPENINGS[kind].format(doctor=one_line(first.doctor_name))
    times = [_times(one, ZoneInfo(timezone), how) for one in appointments]
    return Letter(
        subject=subject.format(date=date, count=len(appointments)),
        text="\n\n".join([opening, *times, _closing(kind, base)]) + "\n",
        event=_event(appointments),
    )


def one_line(name: str) -> str:
    """A name as one line of what can be seen: no line begins in it, and nothing turns it around."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def _closing(kind: Kind, base: str) -> str:
    if kind is Kind.CANCELLED:
        return f"Another time can be booked at {base}"
    return f"It can be moved or cancelled at {base}\n\nThe attached file is for your calendar."


def _times(appointment: Appointment, zone: ZoneInfo, locale: Locale) -> str:
    """When it is by the recipient's clocks, and by the doctor's where these show something else."""
    lines = [_span(appointment, zone, locale)]
    there = ZoneInfo(appointment.timezone)
    if any(
        moment.astimezone(there).utcoffset() != moment.astimezone(zone).utcoffset()
        for moment in (appointment.starts_at, appointment.ends_at)
    ):
        lines += ["where the doctor is:", _span(appointment, there, locale)]
    return "\n".join(lines)


def _span(appointment: Appointment, zone: ZoneInfo, locale: Locale) -> str:
    start, end = (m.astimezone(zone) for m in (appointment.starts_at, appointment.ends_at))
    # Two times of a day on which the clocks change need a name each.
    changes = start.utcoffset() != end.utcoffset()
    begins = _time(start, locale, named=changes)
    ends = _time(end, locale, named=True)
    if start.date() == end.date():
        return f"{format_date(start, 'full', locale=locale)}\n{begins} - {ends}"
    days = [format_date(moment, "full", locale=locale) for moment in (start, end)]
    return f"{days[0]}, {begins} -\n{days[1]}, {ends}"


def _time(moment: datetime, locale: Locale, *, named: bool) -> str:
    text = format_time(moment, "short", locale=locale)
    if not named:
        return text
    name = get_timezone_name(moment, "long", locale=locale)
    return f"{text} ({name}, {moment.tzinfo})"


def _event(appointments: Sequence[Appointment]) -> bytes:
    calendar = CalendarWriter()
    calendar.add((one, summary_for("patient", one)) for one in appointments)
    return calendar.encode()
