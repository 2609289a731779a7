"""Verifies RS256 access tokens (RFC 9068) against a published key set, asynchronously."""

from jwtverify.claims import Claims
from jwtverify.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimsError,
    KeysUnavailable,
    MalformedTokenError,
    PrematureTokenError,
    TokenError,
    UnknownKeyError,
    UnsupportedTokenError,
    WrongAudienceError,
    WrongIssuerError,
)
from jwtverify.keys import KeySource, PublicKey, RemoteKeys, StaticKeys
from jwtverify.verifier import JWTVerifier

__all__ = [
    "BadSignatureError",
    "Claims",
    "ExpiredTokenError",
    "InvalidClaimsError",
    "JWTVerifier",
    "KeySource",
    "KeysUnavailable",
    "MalformedTokenError",
    "PrematureTokenError",
    "PublicKey",
    "RemoteKeys",
    "StaticKeys",
    "TokenError",
    "UnknownKeyError",
    "UnsupportedTokenError",
    "WrongAudienceError",
    "WrongIssuerError",
]

__version__ = "0.1.0"
