"""Reading real appointments: plain or gzipped, and one bad line never stops the rest."""

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tools.replay.rows import Row, RowsError, read_rows

HEADER = "PatientId,AppointmentID,Gender,ScheduledDay,AppointmentDay,Neighbourhood,No-show\n"
GOOD = "29872499824296,5642903,F,2016-04-29T18:38:08Z,2016-04-29T00:00:00Z,JARDIM DA PENHA,No\n"
OTHER = 'ünknown,1,M,2016-04-29T08:00:00-03:00,2016-05-02,"PRAIA, DO SUÁ",Yes\n'


@pytest.fixture(params=["plain", "gzip"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    # The name says nothing: the content does.
    path = tmp_path / "rows"
    data = (HEADER + GOOD + OTHER).encode()
    path.write_bytes(gzip.compress(data) if request.param == "gzip" else data)
    return path


def test_rows_are_read(file: Path) -> None:
    rows, rejected = read_rows(file)
    made = datetime(2016, 4, 29, 18, 38, 8, tzinfo=UTC)
    assert rows[0] == Row(
        2, "29872499824296", "5642903", made, date(2016, 4, 29), "JARDIM DA PENHA"
    )
    assert rows[1].made == datetime(2016, 4, 29, 11, tzinfo=UTC)
    assert (rows[1].day, rows[1].neighbourhood) == (date(2016, 5, 2), "PRAIA, DO SUÁ")
    assert rejected == []


def test_only_so_many_are_read(file: Path) -> None:
    rows, _ = read_rows(file, limit=1)
    assert [row.appointment for row in rows] == ["5642903"]


def test_bad_lines_are_told_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    bad = [
        ",9,F,2016-04-29T18:38:08Z,2016-04-29,X,No",
        "1,9,F,yesterday,2016-04-29,X,No",
        "1,9,F,2016-04-29T18:38:08,2016-04-29,X,No",
        "1,9,F,2016-04-29T18:38:08Z,2016-02-30T00:00:00Z,X,No",
        "1,9",
        GOOD.strip(),
    ]
    path.write_text(HEADER + GOOD + "\n".join(bad) + "\n" + OTHER)
    rows, rejected = read_rows(path)
    assert [row.number for row in rows] == [2, 9]
    assert [row.number for row in rejected] == [3, 4, 5, 6, 7, 8]
    for row, reason in zip(
        rejected,
        ("PatientId is missing", "Invalid isoformat", "no offset", "day is out of range",
         "ScheduledDay is missing", "5642903 was there before"),
        strict=True,
    ):  # fmt: skip
        assert reason in row.reason


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PatientId,AppointmentID,ScheduledDay\n1,2,3\n", "no column AppointmentDay, Neighbour"),
        (b"", "no column PatientId"),
        (gzip.compress((HEADER + GOOD * 1000).encode())[:-20], "can't be read"),
        (b"\x1f\x8bnothing of the kind", "can't be read"),
        (HEADER.encode() + b"\xff\xfe,1", "can't be read"),
    ],
    ids=["columns", "empty", "cut", "no gzip", "no UTF-8"],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(content)
    with pytest.raises(RowsError, match=says):
        read_rows(path)


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match="No such file"):
        read_rows(tmp_path / "rows")
