"""What docs/operations.md says of outages is shown by tests that are there."""

import ast
import re

from tools.environments import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def rows() -> list[list[str]]:
    """The cells of each row of the table of outages."""
    section = OPERATIONS.partition("## What still works when something is away")[2]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_each_dependency_has_a_row_and_each_row_names_tests_that_are_there() -> None:
    assert [row[0] for row in rows()][:2] == ["MySQL", "MySQL, restarted"]
    assert len(rows()) >= 9
    for row in rows():
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[-1])
        assert named, row[0]
        for path, test in named:
            tree = ast.parse((ROOT / path).read_text())
            functions = ast.FunctionDef | ast.AsyncFunctionDef
            assert test in {node.name for node in tree.body if isinstance(node, functions)}, test
