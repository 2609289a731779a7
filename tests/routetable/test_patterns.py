import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routetable import PathPattern, PatternError


def matches_by_brute_force(pattern: str, path: str) -> bool:
    """The rule as AWS words it, with every way to read each `*` tried."""
    reachable = {0}
    for char in pattern:
        if char == "*":
            reachable = {end for start in reachable for end in range(start, len(path) + 1)}
        else:
            reachable = {
                start + 1 for start in reachable if start < len(path) and char in ("?", path[start])
            }
    return len(path) in reachable


@given(st.text("aAb/*?", min_size=1, max_size=12), st.text("aAb/\n", max_size=16))
@example("*", "")
@example("a*a", "a")
@example("*ab*ab", "abab")
@example("a?", "a\n")
def test_agrees_with_a_brute_force_matcher(pattern: str, path: str) -> None:
    assert PathPattern(pattern).matches(path) is matches_by_brute_force(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/v1/users", "/v1/users", True),
        ("/v1/users", "/v1/users/", False),
        ("/v1/users", "/V1/users", False),
        ("/v1/users/*", "/v1/users/", True),
        ("/v1/users/*", "/v1/users", False),
        ("/v1/users/*", "/v1/users/a/b/c", True),
        ("/v1/?", "/v1/", False),
        ("/v1/?", "/v1/x", True),
        ("/v1/?", "/v1/xy", False),
        ("*.json", ".json", True),
        ("/a.b", "/axb", False),
    ],
)
def test_follows_the_rules_of_the_load_balancer(pattern: str, path: str, expected: bool) -> None:
    assert PathPattern(pattern).matches(path) is expected


@pytest.mark.parametrize("text", ["", "/" + "a" * 128, "/ä", "/a b", "/a%20", "/a\n", "/a#b"])
def test_refuses_what_aws_refuses(text: str) -> None:
    with pytest.raises(PatternError):
        PathPattern(text)


def test_takes_the_longest_pattern_allowed() -> None:
    assert PathPattern("/" + "a" * 127).matches("/" + "a" * 127)


def test_many_stars_are_decided_in_one_pass_over_the_path() -> None:
    """A matcher that backtracks needs some 10^15 steps here; ours must not leave one line twice."""
    pattern = PathPattern("*a*a*a*a*b")
    steps = 0

    def count_lines(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal steps
        steps += 1
        return count_lines

    sys.settrace(count_lines)
    try:
        found = pattern.matches("a" * 16_000)
    finally:
        sys.settrace(None)
    assert not found
    assert steps < 100
