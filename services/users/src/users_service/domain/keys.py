"""Signing keys and registered services: their shapes, and which key signs when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

ACCESS_TOKEN_LIFETIME: Final = timedelta(minutes=15)
SERVICE_TOKEN_LIFETIME: Final = timedelta(seconds=300)
ASSERTION_LIFETIME: Final = timedelta(seconds=60)
CLOCK_SKEW: Final = timedelta(seconds=30)

SCOPES: Final = frozenset({"contact:read", "names:read", "erase"})

KEY_SET_LIFETIME: Final = timedelta(seconds=300)
"""For how long verifiers keep a key set that they fetched (its max-age, jwtverify's default)."""
RING_LIFETIME: Final = timedelta(seconds=15)
"""How soon a key that one instance made is known to the others."""
VERIFIERS_LEEWAY: Final = timedelta(minutes=1)
"""How long after its end a verifier may still take a token: the most that jwtverify allows."""

PUBLISHED_AHEAD: Final = KEY_SET_LIFETIME + RING_LIFETIME + CLOCK_SKEW
"""From a key's making until it signs. A verifier may fetch, just before the last instance knows the
key, a set without it, and keep that for its lifetime."""

# An instance signs on with the old key while its clock is behind, or while it doesn't know yet of
# a new one that signs at once.
_AFTERWARDS: Final = ACCESS_TOKEN_LIFETIME + VERIFIERS_LEEWAY + RING_LIFETIME + CLOCK_SKEW

MAX_PUBLISHED: Final = 10
"""Keys in one set: what an ALB's jwt-validation action takes, and jwtverify likewise."""

KEPT_AFTERWARDS: Final = timedelta(days=30)
"""For how long `keys list` still shows a key that is over, or retired."""

KeyState = Literal["published", "signing", "old", "over", "retired"]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One RSA key; `sealed` is the private part, which only the sealing key opens.

    Attributes:
        generation: 1, 2, 3 …: unique, so that of two instances that make the first key at once
            one wins and the other takes that one's.
        key_id: `kid`.
        public_pem: SubjectPublicKeyInfo.
        signs_from: when it begins to sign; published from the beginning.
        retired_at: when it was taken out, whatever was signed with it; None if it wasn't.
    """

    generation: int
    key_id: str
    public_pem: str
    sealed: str
    signs_from: datetime
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RegisteredService:
    """A service that may have tokens of its own; `scope` is what they may be used for."""

    name: str
    scope: frozenset[str]
    public_pem: str


def signing_key(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The newest key that already signs; None if there is none."""
    begun = [key for key in keys if key.signs_from <= now and key.retired_at is None]
    return max(begun, key=lambda key: key.generation, default=None)


def published_keys(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """The keys that a token good now may be signed with, and those that will sign soon.

    A retired key is none of them, whatever the clocks: tokens that it signed are to be refused.
    """
    return [
        key
        for key in sorted(keys, key=lambda key: key.generation)
        if key.retired_at is None and now <= _signed_until(key, keys, now) + _AFTERWARDS
    ]


def usable_keys(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """The keys that could sign now, and that every verifier knows or can fetch."""
    return [key for key in published_keys(keys, now) if key.signs_from <= now]


def state_of(key: SigningKey, keys: Sequence[SigningKey], now: datetime) -> KeyState:
    """Where a key is in its life; `over` is old, and no longer published."""
    if key.retired_at is not None:
        return "retired"
    if key == signing_key(keys, now):
        return "signing"
    if key not in published_keys(keys, now):
        return "over"
    return "published" if _is_next(key, keys, now) else "old"


def forgettable_keys(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """The keys that have been over, or retired, for long enough to be deleted.

    The newest stays, so that no generation is given twice.
    """
    newest = max((key.generation for key in keys), default=0)
    return [
        key
        for key in keys
        if key.generation != newest
        and (key.retired_at or _signed_until(key, keys, now)) < now - KEPT_AFTERWARDS
    ]


def _is_next(key: SigningKey, keys: Sequence[SigningKey], now: datetime) -> bool:
    signing = signing_key(keys, now)
    return key.signs_from > now and (signing is None or key.generation > signing.generation)


def _signed_until(key: SigningKey, keys: Sequence[SigningKey], now: datetime) -> datetime:
    """The last moment up to now at which no newer key signed in its place: now, if none does.

    A newer one that was retired has signed from its beginning until then, and afterwards the older
    one signs again: which it can only while it is published.
    """
    until = now
    newer = [other for other in keys if other.generation > key.generation]
    for other in sorted(newer, key=lambda other: other.signs_from, reverse=True):
        if other.signs_from <= until and (other.retired_at is None or other.retired_at >= until):
            until = other.signs_from
    return until
