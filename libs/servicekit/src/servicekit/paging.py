"""Lists in pages: `?limit=` and `?cursor=`, and the opaque cursor that leads to the next page.

A cursor is the position in a list together with a digest over it and the list's own name (path,
filters, caller). The digest is no secret's: whoever forges one only moves within a list that the
caller may read anyway. It is there so that a damaged cursor, or one of another list, is refused
and never quietly answered with a wrong page.
"""

import base64
import hashlib
import json
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field

from servicekit.problems import BAD_CURSOR, ProblemError
from servicekit.wire import Query, Wire

T = TypeVar("T")

_DIGEST_BYTES = 9


def _whole_number(value: object) -> object:
    """Digits only: `1_0`, `1.0` and `+1` are numbers to Python, and to nobody who sends them."""
    if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdigit()):
        raise ValueError("must be a whole number")
    return value


Limit = Annotated[int, BeforeValidator(_whole_number), Field(ge=1, le=200)]
"""How many things a list may have."""


class Paged(Query):
    """The parameters of every list."""

    limit: Limit = 50
    cursor: Annotated[str, Field(max_length=1024)] | None = None


class Page(Wire, Generic[T]):
    """One page of a list; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None


def _digest(list_name: str, position: bytes) -> bytes:
    hashed = hashlib.sha256(list_name.encode(errors="surrogatepass") + b"\0" + position)
    return hashed.digest()[:_DIGEST_BYTES]


def encode_cursor(list_name: str, position: Any) -> str:
    """The cursor that continues `list_name` behind `position` (any JSON value)."""
    raw = json.dumps(position, separators=(",", ":")).encode()
    return _text(_digest(list_name, raw) + raw)


def _text(cursor: bytes) -> str:
    return base64.urlsafe_b64encode(cursor).decode().rstrip("=")


def decode_cursor(list_name: str, cursor: str | None) -> Any | None:
    """The position in a cursor of that very list; None for no cursor.

    Raises:
        ProblemError: 422 `bad_cursor` for anything that `encode_cursor` wouldn't give out for it.
            That is no proof that it did: whoever uses a position checks that it is one.
    """
    if cursor is None:
        return None
    try:
        decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, raw = decoded[:_DIGEST_BYTES], decoded[_DIGEST_BYTES:]
        # Base64 has several texts for the same bytes; the digest can't tell them apart.
        if digest != _digest(list_name, raw) or _text(decoded) != cursor:
            raise ValueError("not given out for this list")
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProblemError(BAD_CURSOR) from error
