"""What bytes really are."""

from __future__ import annotations

import codecs
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files_service.content import (
    ALLOWED_TYPES,
    CSV,
    DICOM,
    JPEG,
    PDF,
    PNG,
    TEXT,
    ContentInspector,
)

GENUINE = {
    PDF: b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n",
    PNG: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    JPEG: b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    DICOM: bytes(128) + b"DICM\2\0\0\0UL\4\0",
    TEXT: "Größe: 1,80 m\r\n\tBlutdruck 120/80\f\n".encode(),
    CSV: b'\xef\xbb\xbfname,value\r\n"a,b",1\r\n',
}
IMPOSTORS = {
    "executable": b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff",
    "zip": b"PK\3\4\x14\0\0\0\x08\0",
    "the letters of a PNG": rb"\x89PNG",
    "the letters of a JPEG": rb"\377\330\377",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "PDF behind a byte": b" %PDF-1.7\n",
    "PDF without a version": b"%PDF",
    "DICM too early": bytes(127) + b"DICM\2\0\0\0",
    "nearly nothing": b"\xff",
    "UTF-16": "\ufeffname".encode("utf-16-le"),
    "Latin-1": "Größe".encode("latin-1"),
    "half a character": "ü".encode()[:1],
    "a NUL": b"abc\0def",
    "an escape sequence": b"\x1b[31mred",
    "a delete": b"ab\x7f",
}


def is_of(content_type: str, *chunks: bytes) -> bool:
    inspector = ContentInspector(content_type)
    for chunk in chunks:
        inspector.feed(chunk)
    return inspector.matches()


def test_the_contract_names_these_types() -> None:
    assert set(GENUINE) == ALLOWED_TYPES


@pytest.mark.parametrize("claimed", sorted(ALLOWED_TYPES))
@pytest.mark.parametrize("real", sorted(GENUINE))
def test_bytes_are_of_their_own_type_and_of_no_other(claimed: str, real: str) -> None:
    same = claimed == real or {claimed, real} == {TEXT, CSV}
    assert is_of(claimed, GENUINE[real]) is same


@pytest.mark.parametrize("name", sorted(IMPOSTORS))
@pytest.mark.parametrize("claimed", sorted(ALLOWED_TYPES))
def test_impostors_are_recognised(claimed: str, name: str) -> None:
    harmless_as_text = name.startswith(("the letters", "PDF"))
    expected = claimed in (TEXT, CSV) and harmless_as_text
    assert is_of(claimed, IMPOSTORS[name]) is expected


@pytest.mark.parametrize("body", [b"%PDF-1.4\n1 0 obj\n", b"a" * 128 + b"DICM"])
def test_printable_bytes_of_another_type_are_no_text(body: bytes) -> None:
    assert not is_of(TEXT, body)
    assert not is_of(CSV, body[:3], body[3:])


def test_a_fault_far_behind_the_beginning_is_found() -> None:
    assert not is_of(TEXT, b"a" * 100_000, b"b" * 100_000 + b"\0", b"c")
    assert not is_of(TEXT, b"a" * 100_000, b"\xc3")
    assert is_of(TEXT, b"a" * 99_999 + b"\xc3", b"\xbc" + b"b")


@given(
    body=st.binary(max_size=400) | st.text(max_size=200).map(str.encode),
    head=st.sampled_from([b"", *GENUINE.values()]),
    cuts=st.lists(st.integers(0, 600), max_size=6),
    claimed=st.sampled_from(sorted(ALLOWED_TYPES)),
)
def test_the_verdict_does_not_depend_on_how_bytes_are_cut(
    body: bytes, head: bytes, cuts: list[int], claimed: str
) -> None:
    whole = head + body
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    chunks = [whole[a:b] for a, b in itertools.pairwise(edges)]
    assert is_of(claimed, *chunks) is is_of(claimed, whole)


@given(st.text(alphabet=st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"])))
def test_printable_text_is_text_in_utf_8(text: str) -> None:
    body = text.encode()
    expected = not body.startswith(b"%PDF-") and body[128:132] != b"DICM"
    assert is_of(TEXT, body) is expected
    assert is_of(CSV, codecs.BOM_UTF8 + body) is (body[125:129] != b"DICM")
