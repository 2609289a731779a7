"""Names of files: which are taken, and how they travel in a header."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from files_service.errors import BadFilenameError
from files_service.filenames import MAX_BYTES, attachment, check_filename

_DISPOSITION = re.compile(r"attachment; filename=\"([^\"]*)\"; filename\*=UTF-8''([!-~]*)")


def is_taken(name: str) -> bool:
    try:
        check_filename(name)
    except BadFilenameError:
        return False
    return True


@pytest.mark.parametrize(
    "name",
    [
        "report.pdf",
        "Befund März 2026.pdf",
        "检查报告.pdf",
        "تقرير.pdf",
        "👩‍⚕️.png",
        'a "quoted"; name=x.pdf',
        "100%.csv",
        ".hidden",
        "no extension",
        " leading space.txt",
        "console.txt",
        "com10.txt",
        "nullable",
        "a" * MAX_BYTES,
        "é" * (MAX_BYTES // 2),
    ],
)
def test_names_that_are_taken(name: str) -> None:
    check_filename(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "\u3000\u2003",
        ".",
        "..",
        "a/b",
        "a\\b",
        "../../etc/passwd",
        "a\0b.pdf",
        "a\r\nX-Evil: 1.pdf",
        "a\tb",
        "a\x7f",
        "a\x85b",
        "a\u2028b",
        "a\u202efdp.exe",
        "a\u2066b",
        "\ud800.pdf",
        "trailing.",
        "trailing ",
        "CON",
        "con.txt",
        "Aux .tar.gz",
        "LPT1",
        "com\u00b9.log",
        "conin$",
        "a" * (MAX_BYTES + 1),
        "é" * (MAX_BYTES // 2 + 1),
    ],
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(BadFilenameError):
        check_filename(name)


@given(st.text(max_size=300))
@example('";\r\nSet-Cookie: a=b')
@example("%2e%2e%2f")
@example("''%00")
def test_a_taken_name_comes_back_from_the_header_as_it_was(name: str) -> None:
    if not is_taken(name):
        return
    header = attachment(name)

    match = _DISPOSITION.fullmatch(header)

    assert match is not None
    assert header.isascii()
    assert header.isprintable()
    assert unquote(match[2], errors="strict") == name
    plain = match[1]
    assert len(plain) == len(name)
    assert not set(plain) & set('"\\%\r\n')


@given(st.text(max_size=300))
def test_a_taken_name_can_be_a_file_in_one_directory(name: str) -> None:
    if is_taken(name):
        assert 1 <= len(name.encode()) <= 255
        assert not set(name) & set("/\\\0\r\n")
        assert name.strip()
        assert name.rstrip(". ") == name
