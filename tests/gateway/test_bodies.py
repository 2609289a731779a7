from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bodies import BadFramingError, Chunked, Sized

CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
CUTS = st.lists(st.integers(0, 400), max_size=8)


def encode(chunks: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def feed_in_pieces(body: Chunked | Sized, data: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    """Feed data cut at these places; returns what was passed on, and what came after the body."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    passed, rest = b"", b""
    for begin, end in pairwise(places):
        piece, left = body.feed(data[begin:end])
        passed += piece
        if body.done:
            return passed, left + data[end:]
        rest = left
    return passed, rest


@given(CHUNKS, CUTS, st.binary(max_size=20))
def test_finds_the_end_of_a_chunked_body_however_it_arrives(
    chunks: list[bytes], cuts: list[int], after: bytes
) -> None:
    body = Chunked()
    assert feed_in_pieces(body, encode(chunks) + after, cuts) == (encode(chunks), after)
    assert body.done


@given(CHUNKS, CUTS)
def test_decodes_for_old_clients(chunks: list[bytes], cuts: list[int]) -> None:
    assert feed_in_pieces(Chunked(decode=True), encode(chunks), cuts) == (b"".join(chunks), b"")


@given(st.binary(max_size=60), CUTS, st.integers(1, 60))
def test_finds_the_end_of_a_sized_body(data: bytes, cuts: list[int], length: int) -> None:
    body = Sized(length)
    passed, rest = feed_in_pieces(body, data, cuts)
    assert passed + rest == data
    assert passed == data[:length]
    assert body.done is (len(data) >= length)


@pytest.mark.parametrize(
    "data",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\r\r\nhello\r\n",
        b"5;a\x01\r\nhello\r\n",
        b"5;a=b\nhello\r\n",
        b"\r\n",
        b"1" * 16 + b"\r\n",
        b"5;" + b"a" * 5000,
        b"0\r\nno trailer\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"0\r\n" + b"X: %b\r\n" % (b"a" * 4000) * 20,
    ],
)
@pytest.mark.parametrize("step", [1, 10_000])
def test_refuses_what_two_readers_could_read_differently(data: bytes, step: int) -> None:
    def feed() -> None:
        body = Chunked()
        for start in range(0, len(data), step):
            body.feed(data[start : start + step])

    with pytest.raises(BadFramingError):
        feed()


def test_keeps_extensions_and_trailers() -> None:
    data = b"5;name=value\r\nhello\r\n00\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"
    assert Chunked().feed(data + b"GET") == (data, b"GET")
