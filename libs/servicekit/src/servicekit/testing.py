"""What tests of a service need: a clock of their own, tokens of their own, the real app."""

import asyncio
import json
import secrets
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from servicekit.mail import Mail
from servicekit.settings import DEFAULT_AUDIENCE, DEVELOPMENT_ISSUER


class FakeClock:
    """A clock that stands until it is moved. Called, it gives an aware UTC datetime."""

    def __init__(self, now: datetime = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The moment."""
        return self.now

    def timestamp(self) -> float:
        """The moment in Unix seconds."""
        return self.now.timestamp()

    def advance(self, delta: timedelta) -> None:
        """Moves the clock."""
        self.now += delta


class FakeMailer:
    """A Mailer that keeps what it is given; it can fail, and hang.

    Attributes:
        sent: what was taken, in order.
        tries: how often something was given.
        error: what each try raises; None to take it.
        free: cleared, every try hangs until it is set again.
        reached: set when something is given, and again when it was taken.
    """

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.tries = 0
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.reached = asyncio.Event()

    async def send(self, mail: Mail) -> None:
        """Keeps it, or raises `error`."""
        self.tries += 1
        self.reached.set()
        await self.free.wait()
        if self.error is not None:
            raise self.error
        self.sent.append(mail)
        self.reached.set()


class TokenMint:
    """Signs access tokens with a key of its own, as users would."""

    def __init__(
        self, *, issuer: str = DEVELOPMENT_ISSUER, audience: str = DEFAULT_AUDIENCE
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self.key_id = "test-key"

    @cached_property
    def private_key(self) -> rsa.RSAPrivateKey:
        """Made when first asked for: it takes a while."""
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def jwks(self) -> dict[str, Any]:
        """The key set to verify with."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.private_key.public_key()))
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}

    def token(
        self,
        subject: str,
        role: str,
        *,
        name: str = "Test Person",
        at: datetime | None = None,
        lifetime: timedelta = timedelta(minutes=15),
        **claims: Any,
    ) -> str:
        """A signed access token; `claims` override or add."""
        issued = at or datetime.now(UTC)
        payload = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "iat": int(issued.timestamp()),
            "exp": int((issued + lifetime).timestamp()),
            "jti": secrets.token_urlsafe(12),
            "role": role,
            "name": name,
            **claims,
        }
        headers = {"typ": "at+jwt", "kid": self.key_id}
        return jwt.encode(payload, self.private_key, algorithm="RS256", headers=headers)
