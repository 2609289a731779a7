"""Identifiers: opaque, URL-safe, and in the order they were made, to the millisecond."""

import secrets
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing to misread

ID_LENGTH = 26
_RANDOM_BITS = 80


def new_id(moment: datetime) -> str:
    """26 characters: 48 bits of milliseconds and 80 of randomness, as in a ULID."""
    return _text(moment, secrets.randbits(_RANDOM_BITS))


def first_id(moment: datetime) -> str:
    """The first that `new_id` could make in the moment's millisecond."""
    return _text(moment, 0)


def last_id(moment: datetime) -> str:
    """The last that `new_id` could make in the moment's millisecond."""
    return _text(moment, (1 << _RANDOM_BITS) - 1)


def _text(moment: datetime, rest: int) -> str:
    # Before 1970 nothing was made, and a span of ids may well begin there.
    value = (max(0, int(moment.timestamp() * 1000)) << _RANDOM_BITS) | rest
    characters = []
    for _ in range(ID_LENGTH):
        characters.append(_ALPHABET[value & 31])
        value >>= 5
    return "".join(reversed(characters))
