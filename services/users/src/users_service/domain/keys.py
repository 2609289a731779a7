"""Signing keys and registered services: their shapes, and which key signs when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

ACCESS_TOKEN_LIFETIME: Final = timedelta(minutes=15)
SERVICE_TOKEN_LIFETIME: Final = timedelta(seconds=300)
ASSERTION_LIFETIME: Final = timedelta(seconds=60)
CLOCK_SKEW: Final = timedelta(seconds=30)

SCOPES: Final = frozenset({"contact:read", "names:read", "erase"})

# Verifiers tolerate up to a minute between clocks, and keep a key set for five.
_AFTERWARDS: Final = ACCESS_TOKEN_LIFETIME + timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One RSA key; `sealed` is the private part, which only the sealing key opens.

    Attributes:
        generation: 1, 2, 3 …: unique, so that of two instances that make the first key at once
            one wins and the other takes that one's.
        key_id: `kid`.
        public_pem: SubjectPublicKeyInfo.
        signs_from: when it begins to sign; published from the beginning.
    """

    generation: int
    key_id: str
    public_pem: str
    sealed: str
    signs_from: datetime


@dataclass(frozen=True, slots=True)
class RegisteredService:
    """A service that may have tokens of its own; `scope` is what they may be used for."""

    name: str
    scope: frozenset[str]
    public_pem: str


def signing_key(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The newest key that already signs; None if there is none."""
    begun = [key for key in keys if key.signs_from <= now]
    return max(begun, key=lambda key: key.generation, default=None)


def published_keys(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """The keys that a token good now may be signed with, and those that will sign soon."""
    ordered = sorted(keys, key=lambda key: key.generation)
    over = {old.key_id for old, new in pairwise(ordered) if now > new.signs_from + _AFTERWARDS}
    return [key for key in ordered if key.key_id not in over]
