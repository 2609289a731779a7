"""docs/security.md names tests that are there."""

import re

from tools.environments import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_chapter_is_there_once_and_in_order() -> None:
    chapters = re.findall(r"^## V(\d+) ", PAGE, re.MULTILINE)
    assert [int(number) for number in chapters] == list(range(1, 18))


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", PAGE))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
