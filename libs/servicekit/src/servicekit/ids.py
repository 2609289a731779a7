"""Identifiers: opaque, URL-safe, and in the order they were made, to the millisecond."""

import secrets
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing to misread

ID_LENGTH = 26


def new_id(moment: datetime) -> str:
    """26 characters: 48 bits of milliseconds and 80 of randomness, as in a ULID."""
    value = (int(moment.timestamp() * 1000) << 80) | secrets.randbits(80)
    characters = []
    for _ in range(ID_LENGTH):
        characters.append(_ALPHABET[value & 31])
        value >>= 5
    return "".join(reversed(characters))
