"""Signing in: when failed logins become too many, and how refresh tokens follow each other."""

import hashlib
import hmac
import math
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from users_service.domain.users import User

ATTEMPTS_WINDOW: Final = timedelta(minutes=15)
ATTEMPTS_PER_EMAIL: Final = 10  # failures for one e-mail from one address
ATTEMPTS_PER_ADDRESS: Final = 100
REUSE_GRACE: Final = timedelta(seconds=10)
CLIENT_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed login from an address; the e-mail typed is known by its digest only."""

    email_digest: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A family that still has an unspent token: somebody is signed in.

    Attributes:
        id: the family's; the access tokens that came with its refresh tokens name it as `sid`.
        client: what the browser or program called itself at login.
    """

    id: str
    created_at: datetime
    last_used_at: datetime
    client: str | None


def client_name(user_agent: str) -> str | None:
    """What is kept of a `User-Agent`; None if nothing of it is left.

    Of Unicode's categories, C is what no eye sees: control and format characters, and the
    surrogates that stand for bytes which are no UTF-8.
    """
    kept = (sign for sign in user_agent if unicodedata.category(sign)[0] != "C")
    return "".join(kept)[:CLIENT_LENGTH].strip() or None


def email_digest(key: str) -> str:
    """The digest of an e-mail's key, of fixed length whatever was typed: 64 hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def blocked_for(
    failures: Sequence[Failure], digest: str, now: datetime, *, beyond: int = 0
) -> int | None:
    """Whole seconds until an e-mail may be tried again from an address; None if now.

    Args:
        failures: the newest of that address, newest first: all, or as many as the greater limit
            together with `beyond`.
        beyond: how many more than the limits are let pass: 1 for a failure that is counted itself.
    """
    recent = [failure for failure in failures if failure.at > now - ATTEMPTS_WINDOW]
    same = [failure for failure in recent if failure.email_digest == digest]
    # Until the oldest of the last `limit` failures has left the window.
    ends = [
        counted[limit - 1].at + ATTEMPTS_WINDOW
        for counted, limit in ((same, ATTEMPTS_PER_EMAIL), (recent, ATTEMPTS_PER_ADDRESS))
        if len(counted) >= limit + beyond
    ]
    if not ends:
        return None
    return max(1, math.ceil((max(ends) - now).total_seconds()))


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What is stored of one: its digest, and its place in the family that one login began."""

    digest: str
    family_id: str
    number: int
    expires_at: datetime
    spent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that was found, with what it hangs on.

    Attributes:
        began_at: when somebody signed in, which the family began with.
    """

    token: RefreshToken
    user: User
    began_at: datetime
    family_ended: bool

    def is_usable(self, now: datetime, longest: timedelta) -> bool:
        """Whether it counts at all, spent or not, where a session lasts so long at most."""
        ends_at = min(self.token.expires_at, self.began_at + longest)
        return not self.family_ended and self.user.is_active and now < ends_at

    def in_grace(self, now: datetime) -> bool:
        """Whether it was spent so recently that its owner may just have missed the answer."""
        spent_at = self.token.spent_at
        return spent_at is not None and now - spent_at <= REUSE_GRACE


def refresh_token(key: bytes, family_id: str, number: int) -> str:
    """The `number`th token of a family: 43 URL-safe characters that only the key's holder can make.

    Derived and not drawn, so that any instance can give the same successor again without any of
    them storing it.
    """
    mac = hmac.digest(key, f"{family_id}:{number}".encode(), "sha256")
    return urlsafe_b64encode(mac).decode().rstrip("=")


def token_digest(token: str) -> str:
    """Under which a refresh token is stored: 64 hex digits."""
    return hashlib.sha256(token.encode()).hexdigest()
