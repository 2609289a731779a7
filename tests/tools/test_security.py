"""docs/security.md names tests that are there, and leaves nothing of its chapters out."""

import ast
import re
from functools import cache

import pytest

from tools.environments import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()

# How many requirements of levels 1 and 2 a section of the standard has; they are numbered from 1.
SECTIONS = {
    6: {1: 3, 2: 12, 3: 4, 4: 4, 5: 5, 6: 3, 8: 4},
    7: {1: 3, 2: 4, 3: 2, 4: 5, 5: 2, 6: 2},
    8: {1: 2, 2: 3, 3: 1, 4: 1},
    9: {1: 3, 2: 4},
    11: {1: 2, 2: 3, 3: 3, 4: 4, 5: 1, 6: 1},
    16: {1: 1, 2: 5, 3: 4, 4: 3, 5: 3},
}


@cache
def chapter(number: int) -> str:
    return PAGE.partition(f"\n## V{number} ")[2].partition("\n## ")[0]


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_every_chapter_is_there_once_and_in_order() -> None:
    chapters = re.findall(r"^## V(\d+) ", PAGE, re.MULTILINE)
    assert [int(number) for number in chapters] == list(range(1, 18))


@pytest.mark.parametrize("number", SECTIONS)
def test_every_requirement_of_these_chapters_is_accounted_for(number: int) -> None:
    named = set(re.findall(rf"\b{number}\.\d+\.\d+\b", chapter(number)))
    required = {
        f"{number}.{section}.{count + 1}"
        for section, counts in SECTIONS[number].items()
        for count in range(counts)
    }
    assert sorted(required - named) == []


def test_each_promise_names_what_shows_it() -> None:
    rows = re.findall(r"^\| (?:[\d–].*?) \| .+ \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) > 60
    assert [shown for shown in rows if "`tests/" not in shown and shown != "`./dev lint`"] == []


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", PAGE))
    assert len(named) > 100
    missing = []
    for name in sorted(named):
        path, _, test = name.partition("::")
        if not (ROOT / path).is_file() or (test and test not in functions(path)):
            missing.append(name)
    assert missing == []
