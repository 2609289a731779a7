"""Services that call this one: their registration, and their tokens (RFC 7523)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from users_service.domain.audit import SYSTEM, Action, Origin
from users_service.domain.keys import (
    ASSERTION_LIFETIME,
    CLOCK_SKEW,
    SCOPES,
    RegisteredService,
)
from users_service.errors import InvalidClientError, InvalidFieldError
from users_service.service.audit import Audit
from users_service.service.tokens import AccessToken, TokenIssuer
from users_service.store import KeyStore

# The times are checked here and by our own clock.
_TIMELESS: Final[Any] = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "require": ["iss", "sub", "aud", "exp", "jti"],
}
_NAME_LENGTH: Final = 80
_TOKEN_ID_LENGTH: Final = 255


class Clients:
    """The use cases about other services."""

    def __init__(
        self, store: KeyStore, tokens: TokenIssuer, clock: Callable[[], datetime], audit: Audit
    ) -> None:
        self._audit = audit
        self._store = store
        self._tokens = tokens
        self._clock = clock

    async def register(self, name: str, scope: frozenset[str], public_pem: str) -> None:
        """Registers a service, or replaces what is registered. Raises InvalidFieldError."""
        if not 1 <= len(name) <= _NAME_LENGTH:
            raise InvalidFieldError("name", f"must have 1 to {_NAME_LENGTH} characters")
        if not scope or not scope <= SCOPES:
            raise InvalidFieldError("scope", f"must be of {' '.join(sorted(SCOPES))}")
        try:
            key = serialization.load_pem_public_key(public_pem.encode())
        except ValueError as error:
            raise InvalidFieldError("public key", "must be a public key in PEM") from error
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < 2048:
            raise InvalidFieldError("public key", "must be an RSA key of 2048 bits or more")
        service = RegisteredService(name, scope, public_pem)
        entry = self._audit.entry(Action.SERVICE_REGISTERED, SYSTEM, name, details=_words(scope))
        await self._store.save_service(service, self._clock(), entry)

    async def token(self, assertion: str, origin: Origin) -> AccessToken:
        """A service's token for an assertion that it signed. Raises InvalidClientError."""
        service = await self._store.registered_service(_issuer_of(assertion))
        if service is None:
            raise InvalidClientError("the assertion is not of a registered service")
        claims = self._verified(assertion, service)
        expires_at = self._check_times(claims)
        token_id = claims["jti"]
        if not _is_text(token_id, _TOKEN_ID_LENGTH):
            raise InvalidClientError("the assertion's jti is malformed")
        entry = self._audit.entry(
            Action.SERVICE_TOKEN,
            origin.acting_as(service.name, "service"),
            details=_words(service.scope),
        )
        ends = expires_at + CLOCK_SKEW
        if not await self._store.use_assertion(service.name, token_id, ends, entry):
            raise InvalidClientError("the assertion was used before")
        return await self._tokens.for_service(service)

    def _verified(self, assertion: str, service: RegisteredService) -> Mapping[str, Any]:
        try:
            claims: Mapping[str, Any] = jwt.decode(
                assertion,
                service.public_pem,
                algorithms=["RS256"],
                audience=self._tokens.issuer,
                issuer=service.name,
                subject=service.name,
                options=_TIMELESS,
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise InvalidClientError(f"the assertion is refused: {type(error).__name__}") from error
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> datetime:
        """The assertion's end. Raises InvalidClientError if it is over or too far away."""
        now = self._clock()
        expires_at = _moment(claims["exp"])
        if now >= expires_at + CLOCK_SKEW:
            raise InvalidClientError("the assertion has expired")
        if expires_at > now + ASSERTION_LIFETIME + CLOCK_SKEW:
            raise InvalidClientError("the assertion is good for too long")
        for name in ("iat", "nbf"):
            if name in claims and _moment(claims[name]) > now + CLOCK_SKEW:
                raise InvalidClientError("the assertion is not good yet")
        if "iat" in claims and expires_at - _moment(claims["iat"]) > ASSERTION_LIFETIME:
            raise InvalidClientError("the assertion is good for too long")
        return expires_at


def _words(scope: frozenset[str]) -> str:
    return " ".join(sorted(scope))


def _issuer_of(assertion: str) -> str:
    """Whose an assertion says it is, before anything of it is believed."""
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise InvalidClientError("the assertion is not a JWT") from error
    issuer = claims.get("iss")
    if not _is_text(issuer, _NAME_LENGTH):
        raise InvalidClientError("the assertion names no issuer")
    return issuer


def _is_text(value: object, most: int) -> TypeGuard[str]:
    """Whether it is text of so many characters at most, and nothing that has no UTF-8.

    JSON can escape half a surrogate pair, which no database and no digest takes.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _moment(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidClientError("a time of the assertion is not a number")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidClientError("a time of the assertion is no date") from error
