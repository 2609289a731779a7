"""Strict base64url and JSON: one text for one value, since what is signed is the text.

Lenient decoders let one value be written in many ways (padding, white space, stray bits, repeated
members), and let two readers of one token see two different things.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from math import isfinite
from typing import Any, Final, NoReturn


def decode_base64url(text: bytes) -> bytes:
    """The bytes that `text` stands for (RFC 7515 appendix C: no padding, no white space).

    Raises:
        ValueError: if it isn't the one canonical base64url text of any bytes.
    """
    try:
        decoded = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    # The standard decoder skips what it doesn't know and ignores stray bits at the end.
    # Encoding again shows all of that at once.
    if urlsafe_b64encode(decoded).rstrip(b"=") != text:
        raise ValueError("not canonical base64url")
    return decoded


def decode_json_object(text: bytes) -> dict[str, Any]:
    """The members of a JSON object in UTF-8 (RFC 8259).

    Raises:
        ValueError: if it is anything else, repeats a member at any depth, holds NaN, an infinity
            or half a surrogate pair, or is nested too deeply for the interpreter.
    """
    try:
        # An explicit decode: json.loads would guess UTF-16 and UTF-32 as well.
        value = _DECODER.decode(text.decode())
        if b"\\u" in text:
            # Only an escape can bring half a surrogate pair into the text, and then no log,
            # database or answer can encode it any more.
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the text's fault, as any other
    return value


def _without_repetition(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member is repeated")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError("a number is out of range")
    return value


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_without_repetition, parse_constant=_refuse_constant, parse_float=_finite
)
