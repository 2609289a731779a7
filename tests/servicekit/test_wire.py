"""Instants, dates, zones and ids as the contract writes them."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.ids import ID_LENGTH, new_id
from servicekit.wire import (
    format_instant,
    is_id,
    parse_date,
    parse_instant,
    zone_name,
)

offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# Hypothesis takes bounds without a zone and adds it itself.
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets)  # noqa: DTZ001
years = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments)
def test_an_instant_survives_the_wire_to_the_microsecond(moment: datetime) -> None:
    text = format_instant(moment)
    assert text.endswith("Z")
    assert parse_instant(text) == moment
    assert parse_instant(moment.isoformat()) == moment
    assert parse_instant(text).tzinfo is UTC


@given(st.one_of(st.text(max_size=40), st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.*")))
def test_any_text_is_an_instant_or_refused(text: str) -> None:
    try:
        moment = parse_instant(text)
    except ValueError:
        return
    assert moment.utcoffset() == timedelta(0)
    assert parse_instant(format_instant(moment)) == moment


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
        ("2026-03-01t10:00:00z", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00:00+05:45", "2026-03-01T04:15:00Z"),
        ("2026-03-01T10:00:00-23:59", "2026-03-02T09:59:00Z"),
        ("2026-03-01T10:00:00 01:00", "2026-03-01T09:00:00Z"),  # `+` unescaped in a query
        ("2026-03-01T10:00:00.5Z", "2026-03-01T10:00:00.500000Z"),
        ("2026-03-01T10:00:00.123456789Z", "2026-03-01T10:00:00.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_instants(text: str, utc: str) -> None:
    assert format_instant(parse_instant(text)) == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "2026-03-01T10:00:00",
        "2026-03-01 10:00:00Z",
        "2026-03-01T10:00Z",
        "2026-03-01T24:00:00Z",
        "2026-02-29T10:00:00Z",
        "2026-03-01T10:00:60Z",
        "2026-03-01T10:00:00+24:00",
        "2026-03-01T10:00:00+01:60",
        "2026-03-01T10:00:00.Z",
        "2026-03-01T10:00:00Z\n",
        "٢٠٢٦-03-01T10:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "1772359200",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_instant(text)


@given(st.dates())
def test_a_date_survives_the_wire(day: date) -> None:
    assert parse_date(day.isoformat()) == day


@pytest.mark.parametrize(
    "text", ["", "20260301", "2026-3-1", "2026-02-30", "2026-W10-1", "2026-03-01\n", "٢٠٢٦-03-01"]
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_date(text)


def test_zones_are_those_of_the_pinned_data_and_nothing_else() -> None:
    assert zone_name("Europe/Berlin") == "Europe/Berlin"
    for name in ("", "europe/berlin", "../etc/passwd", "Mars/Olympus", "UTC\0", "/usr/share"):
        with pytest.raises(ValueError, match="not an IANA time zone"):
            zone_name(name)


def test_ids_are_url_safe_and_at_most_80_characters() -> None:
    assert is_id("a-Z_0")
    assert is_id("x" * 80)
    for text in ("", "x" * 81, "a/b", "a b", "a\n", "ä", "a.b"):
        assert not is_id(text), text


@given(st.lists(years, min_size=2))
def test_new_ids_sort_by_the_moment_they_were_made(moments: list[datetime]) -> None:
    ids = [new_id(moment) for moment in sorted(moments)]
    milliseconds = [one[:10] for one in ids]  # the rest is random
    assert milliseconds == sorted(milliseconds)
    assert len(set(ids)) == len(ids)
    assert all(is_id(one) and len(one) == ID_LENGTH for one in ids)
