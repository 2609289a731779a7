"""Path patterns as an Application Load Balancer matches them.

Source: Elastic Load Balancing, "Condition types for listener rules", path conditions.
"""

import re
from typing import Final

MAX_PATTERN_LENGTH: Final = 128

# What AWS accepts in a path condition, besides the two wildcards.
_ALLOWED: Final = re.compile(r"""[A-Za-z0-9_.$/~"'@:+&*?-]+""")


class PatternError(ValueError):
    """A pattern that the load balancer would refuse."""


class PathPattern:
    """One value of a path condition: `*` is 0 or more characters, `?` exactly one.

    Letter case counts, and the whole path has to match. Each piece between two `*` has a fixed
    length, so the leftmost place where it fits is always a right one: the time is at most the
    path's length times the pattern's, and nothing is ever tried twice.
    """

    __slots__ = ("_first", "_last", "_middle", "text")

    def __init__(self, text: str) -> None:
        """Compile a pattern of 1 to 128 characters.

        Raises:
            PatternError: the pattern is empty, too long, or has a character AWS does not accept.
        """
        if len(text) > MAX_PATTERN_LENGTH:
            raise PatternError(f"pattern longer than {MAX_PATTERN_LENGTH} characters: {text!r}")
        if not _ALLOWED.fullmatch(text):
            raise PatternError(f"pattern empty or with a character that is not accepted: {text!r}")
        self.text = text
        first, *rest = (_compile(piece) for piece in text.split("*"))
        self._first = first
        self._middle = rest[:-1]
        self._last = rest[-1] if rest else None

    @property
    def wildcards(self) -> int:
        """How many `*` and `?` it has, which AWS counts against a rule's limit."""
        return self.text.count("*") + self.text.count("?")

    def matches(self, path: str) -> bool:
        """Whether this raw path, given without its query string, matches as a whole."""
        length, first = self._first
        if self._last is None:
            return len(path) == length and first.match(path) is not None
        last_length, last = self._last
        end = len(path) - last_length
        if length > end or first.match(path) is None or last.match(path, end) is None:
            return False
        position = length
        for _, piece in self._middle:
            found = piece.search(path, position, end)
            if found is None:
                return False
            position = found.end()
        return True

    def __repr__(self) -> str:
        """Show the pattern's text."""
        return f"PathPattern({self.text!r})"


def _compile(piece: str) -> tuple[int, re.Pattern[str]]:
    """Turn a piece without `*` into its length and an expression of exactly that length."""
    expression = "".join("." if char == "?" else re.escape(char) for char in piece)
    return len(piece), re.compile(expression, re.DOTALL)
