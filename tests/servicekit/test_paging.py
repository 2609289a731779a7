"""Cursors lead on in the one list they were given out for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.bodies import parse_query
from servicekit.paging import Paged, decode_cursor, encode_cursor
from servicekit.problems import BAD_CURSOR, ProblemError

positions = st.one_of(st.text(), st.lists(st.text(), max_size=3), st.integers())


def refused(name: str, cursor: str) -> bool:
    try:
        decode_cursor(name, cursor)
    except ProblemError as error:
        return error.problem is BAD_CURSOR
    return False


@given(st.text(), positions)
def test_a_cursor_gives_back_its_position(name: str, position: object) -> None:
    cursor = encode_cursor(name, position)
    assert decode_cursor(name, cursor) == position
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert refused(name + "x", cursor)


def test_no_cursor_is_the_beginning() -> None:
    assert decode_cursor("list", None) is None


@given(st.text())
def test_anything_else_is_a_bad_cursor(text: str) -> None:
    assert refused("list", text)


@pytest.mark.parametrize("position", ["a", "ab", "abc"])
def test_not_one_character_may_be_another(position: str) -> None:
    """Also not the last: base64 leaves some of its bits unused."""
    cursor = encode_cursor("list", position)
    for place, character in enumerate(cursor):
        for other in "AQgwBCZz059-_+/=":
            if other != character:
                assert refused("list", cursor[:place] + other + cursor[place + 1 :])
    for longer in (cursor + "=", cursor + "A", cursor + "\n", " " + cursor):
        assert refused("list", longer)


@pytest.mark.parametrize("limit", ["1_0", "1.0", "+1", " 1", "", "0x1", "١", "-1", "0", "201"])
def test_a_limit_is_digits_from_1_to_200(limit: str) -> None:
    with pytest.raises(ProblemError) as refused:
        parse_query(Paged, {"limit": limit})
    assert refused.value.problem.code == "validation_failed"
