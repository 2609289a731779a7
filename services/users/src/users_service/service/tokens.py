"""Access tokens (RFC 9068), signed by the newest key."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from users_service.domain.keys import (
    ACCESS_TOKEN_LIFETIME,
    SERVICE_TOKEN_LIFETIME,
    RegisteredService,
)
from users_service.domain.second_factors import ENROLLING
from users_service.domain.users import User
from users_service.service.keys import KeyRing


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token and the seconds for which it is good."""

    text: str
    expires_in: int


class TokenIssuer:
    """Issues access tokens for one audience."""

    def __init__(
        self, keys: KeyRing, *, issuer: str, audience: str, clock: Callable[[], datetime]
    ) -> None:
        self._keys = keys
        self._audience = audience
        self._clock = clock
        self.issuer = issuer

    async def for_user(self, user: User, session: str, *, enrolling: bool = False) -> AccessToken:
        """A person's token. Raises StoreUnavailableError where no key can be had.

        Args:
            session: the refresh family that it came with (`sid`, as in OpenID Connect).
            enrolling: it admits to nothing but setting up a second factor.
        """
        role = ENROLLING if enrolling else user.role.value
        claims = {"role": role, "name": user.full_name, "sid": session}
        return await self._issue(user.id, claims, ACCESS_TOKEN_LIFETIME)

    async def for_service(self, service: RegisteredService) -> AccessToken:
        """A service's token, with the scope of its registration."""
        claims = {
            "role": "service",
            "name": service.name,
            "scope": " ".join(sorted(service.scope)),
        }
        return await self._issue(service.name, claims, SERVICE_TOKEN_LIFETIME)

    async def _issue(
        self, subject: str, claims: Mapping[str, str], lifetime: timedelta
    ) -> AccessToken:
        key_id, private = await self._keys.signer()
        issued_at = int(self._clock().timestamp())
        seconds = int(lifetime.total_seconds())
        payload = {
            "iss": self.issuer,
            "aud": self._audience,
            "sub": subject,
            "iat": issued_at,
            "exp": issued_at + seconds,
            "jti": secrets.token_urlsafe(12),
            **claims,
        }
        headers = {"typ": "at+jwt", "kid": key_id}
        token = jwt.encode(payload, private, algorithm="RS256", headers=headers)
        return AccessToken(token, seconds)
