"""Reads real appointments: a CSV file, plain or gzipped, with the columns of `COLUMNS`."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

COLUMNS = ("PatientId", "AppointmentID", "ScheduledDay", "AppointmentDay", "Neighbourhood")

_GZIP = b"\x1f\x8b"  # RFC 1952, 2.3.1


class RowsError(Exception):
    """The file can't be used at all; the text says why."""


class Row(NamedTuple):
    """One appointment of the file.

    Attributes:
        number: of its line, the header being 1.
        made: when it was booked.
        day: on which date it was; the file has no time of day.
    """

    number: int
    patient: str
    appointment: str
    made: datetime
    day: date
    neighbourhood: str


class Rejected(NamedTuple):
    """A line that can't be replayed, and why."""

    number: int
    reason: str


def read_rows(path: Path, limit: int | None = None) -> tuple[list[Row], list[Rejected]]:
    """The first `limit` rows, and of these the ones that can't be used: one never stops the rest.

    Raises:
        RowsError: the file can't be read, or is of another form.
    """
    rows: list[Row] = []
    rejected: list[Rejected] = []
    known: set[str] = set()
    try:
        with path.open("rb") as file:
            for number, columns in islice(_records(path, file), limit):
                try:
                    row = _row(number, columns)
                    if row.appointment in known:
                        raise ValueError(f"AppointmentID {row.appointment} was there before")
                except ValueError as error:
                    rejected.append(Rejected(number, str(error)))
                else:
                    known.add(row.appointment)
                    rows.append(row)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise RowsError(f"{path} can't be read: {error}") from error
    return rows, rejected


def _records(path: Path, file: BinaryIO) -> Iterator[tuple[int, dict[str, str | None]]]:
    zipped = file.read(2) == _GZIP
    file.seek(0)
    binary = gzip.GzipFile(fileobj=file) if zipped else file
    with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise RowsError(f"{path} has no column {', '.join(missing)}")
        for columns in reader:
            yield reader.line_num, columns


def _row(number: int, columns: dict[str, str | None]) -> Row:
    values = [(columns[name] or "").strip() for name in COLUMNS]
    for name, value in zip(COLUMNS, values, strict=True):
        if not value:
            raise ValueError(f"{name} is missing")
    patient, appointment, scheduled, day, neighbourhood = values
    made = datetime.fromisoformat(scheduled)
    if made.tzinfo is None:
        raise ValueError(f"ScheduledDay {scheduled} has no offset from UTC")
    # A date that is written as the midnight of one, in whatever zone.
    return Row(number, patient, appointment, made, date.fromisoformat(day[:10]), neighbourhood)
