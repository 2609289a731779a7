"""Which names a PromQL expression uses. Its grammar is Prometheus' own tool's affair."""

import re
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_RANGE = re.compile(r"\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
# A name that is followed by a parenthesis is a function's.
_SELECTOR = re.compile(r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_OPERATORS = frozenset({"and", "or", "unless", "bool", "offset"})


@dataclass(frozen=True)
class Names:
    """The metrics of an expression, each with the labels it is selected by, and the labels that
    results are grouped by."""

    metrics: tuple[tuple[str, frozenset[str]], ...]
    grouped: frozenset[str]


def names_in(expression: str) -> Names:
    text = _RANGE.sub("", _STRING.sub('""', expression))
    grouped = [label.strip() for group in _GROUPING.findall(text) for label in group.split(",")]
    metrics = tuple(
        (name, frozenset(_MATCHER.findall(matchers)))
        for name, matchers in _SELECTOR.findall(_GROUPING.sub("", text))
        if name not in _OPERATORS
    )
    return Names(metrics, frozenset(grouped) - {""})
