"""What a log may hold of an exception: its type, its codes and its places, never its text.

A text quotes what was wrong: a driver's the value, a parser's the input, an HTTP client's the URL
with its signature. What our own code says where it raises still shows, as the line of source.
"""

import errno
import re
import textwrap
import traceback
from collections.abc import Iterator

_is_word = re.compile(r"\w{1,64}", re.ASCII).fullmatch

_CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"


def traceback_of(error: BaseException) -> str:
    """The exception after those that led to it, as Python prints them but for their texts."""
    return _chain(error, set()).rstrip("\n")


def _chain(error: BaseException, seen: set[int]) -> str:
    parts: list[str] = []
    while True:
        seen.add(id(error))
        parts.append(_one(error, seen))
        cause = error.__cause__
        earlier = cause
        if cause is None and not error.__suppress_context__:
            earlier = error.__context__
        if earlier is None or id(earlier) in seen:
            return "".join(reversed(parts))
        parts.append(_CAUSED if cause is not None else _DURING)
        error = earlier


def _one(error: BaseException, seen: set[int]) -> str:
    lines = []
    if error.__traceback__ is not None:
        lines = ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)]
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    codes = ", ".join(_codes(error))
    lines.append(f"{name} ({codes})\n" if codes else f"{name}\n")
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            if id(member) not in seen:
                lines.append(textwrap.indent(_chain(member, seen), "  | "))
    return "".join(lines)


def _codes(error: BaseException) -> Iterator[str]:
    """What tells one failure of a type from another: numbers and words of a fixed set."""
    match error.args:
        # Of operating systems, and of what drivers of MySQL raise.
        case (int(number), str(), *_):
            names = errno.errorcode if isinstance(error, OSError) else {}
            yield names.get(number, str(number))
    # Of SQLite; of an answer in HTTP; of an AWS service.
    response = getattr(error, "response", None)
    failure = response.get("Error") if isinstance(response, dict) else None
    found = (
        getattr(error, "sqlite_errorname", None),
        getattr(error, "status", None),
        getattr(error, "operation_name", None),
        failure.get("Code") if isinstance(failure, dict) else None,
    )
    for code in found:
        if isinstance(code, int) or (isinstance(code, str) and _is_word(code)):
            yield str(code)
