"""What a verified token says, and the checks that need no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from jwtverify.encoding import decode_json_object
from jwtverify.errors import (
    InvalidClaimsError,
    MalformedTokenError,
    WrongAudienceError,
    WrongIssuerError,
)

_REQUIRED: Final = ("iss", "aud", "sub", "jti", "iat", "exp")
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that datetime can say


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The claims of a verified access token (RFC 9068 section 2.2).

    Attributes:
        subject: `sub`, whom the token speaks for; never empty.
        role: `role`, "" if there is none.
        name: `name`, None if there is none.
        scope: The words of `scope` (RFC 8693 section 4.2), empty if there is none.
        token_id: `jti`; never empty.
        issued_at: `iat` in seconds since 1970 UTC, rounded down; at most the year 9999.
        expires_at: `exp`, likewise.
        raw: Every claim by its own name. Read-only all the way down (arrays are tuples, objects
            are read-only mappings), since callers with one token share it.
    """

    subject: str
    role: str = ""
    name: str | None = field(default=None, repr=False)  # personal: not for logs
    scope: frozenset[str] = frozenset()
    token_id: str
    issued_at: int
    expires_at: int
    raw: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, compare=False
    )


def read_claims(payload: bytes, *, issuer: str, audience: str) -> Claims:
    """The claims in the payload of a token whose signature is verified already.

    Args:
        payload: The decoded second part of the token.
        issuer: What `iss` must be, to the letter.
        audience: What `aud` must be or, if that is an array, contain.

    Raises:
        MalformedTokenError: if the payload isn't one JSON object.
        InvalidClaimsError: for a missing claim, or one of a wrong type or an impossible value.
        WrongIssuerError: if `iss` is another.
        WrongAudienceError: if `aud` is others.
    """
    try:
        claims = decode_json_object(payload)
        raw = MappingProxyType({name: _frozen(value) for name, value in claims.items()})
    except (ValueError, RecursionError) as error:
        raise MalformedTokenError("the payload is not a JSON object") from error
    for required in _REQUIRED:
        if required not in claims:
            raise InvalidClaimsError(f"the claim {required} is missing")
    if _text(raw, "iss") != issuer:
        raise WrongIssuerError("another issuer's token")
    if audience not in _audiences(raw["aud"]):
        raise WrongAudienceError("a token for another audience")
    subject, token_id = _text(raw, "sub"), _text(raw, "jti")
    if not subject or not token_id:
        raise InvalidClaimsError("the claims sub and jti must not be empty")
    if "nbf" in raw:
        _seconds(raw, "nbf")
    return Claims(
        subject=subject,
        role=_text(raw, "role") if "role" in raw else "",
        name=_text(raw, "name") if "name" in raw else None,
        scope=frozenset(_text(raw, "scope").split()) if "scope" in raw else frozenset(),
        token_id=token_id,
        issued_at=_seconds(raw, "iat"),
        expires_at=_seconds(raw, "exp"),
        raw=raw,
    )


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return MappingProxyType({name: _frozen(member) for name, member in value.items()})
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw[name]
    if not isinstance(value, str):
        raise InvalidClaimsError(f"the claim {name} is not a string")
    return value


def _audiences(value: Any) -> tuple[str, ...]:
    audiences = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(audience, str) for audience in audiences):
        raise InvalidClaimsError("the claim aud is neither a string nor an array of strings")
    return audiences


def _seconds(raw: Mapping[str, Any], name: str) -> int:
    """A NumericDate (RFC 7519 section 2): seconds since 1970 UTC, perhaps with a fraction."""
    value = raw[name]
    # bool is an int to Python, and no number to JSON.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidClaimsError(f"the claim {name} is not a number")
    if not 0 <= value <= _LAST_SECOND:
        raise InvalidClaimsError(f"the claim {name} is no date of this era")
    return int(value)
