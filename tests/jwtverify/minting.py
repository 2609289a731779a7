"""Tokens, good and bad, put together by hand: no library would sign most of them."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

ISSUER = "https://issuer.example"
AUDIENCE = "clinic"
NOW = 1_800_000_000  # the verifier's time in every test, until the test moves it

Signer = Callable[[bytes], bytes]


class Clock:
    """A clock that goes only when told to."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def compact(header: object, payload: object, sign: Signer) -> str:
    """The compact form; header and payload are JSON values, or the very bytes to be sent."""
    parts = [part if isinstance(part, bytes) else encode_json(part) for part in (header, payload)]
    signed = ".".join(base64url(part) for part in parts)
    return f"{signed}.{base64url(sign(signed.encode()))}"


def rs256(key: RSAPrivateKey) -> Signer:
    return lambda signed: key.sign(signed, PKCS1v15(), SHA256())


def rs512(key: RSAPrivateKey) -> Signer:
    return lambda signed: key.sign(signed, PKCS1v15(), SHA512())


def hs256(secret: bytes) -> Signer:
    return lambda signed: hmac.digest(secret, signed, hashlib.sha256)


def public_jwk(key: RSAPublicKey, kid: str, **members: object) -> dict[str, Any]:
    numbers = key.public_numbers()
    return number_jwk(numbers.n, numbers.e, kid=kid, **members)


def number_jwk(modulus: int, exponent: int = 65537, **members: object) -> dict[str, Any]:
    def encoded(number: int) -> str:
        return base64url(number.to_bytes((number.bit_length() + 7) // 8))

    return {"kty": "RSA", "n": encoded(modulus), "e": encoded(exponent), **members}


@dataclass(frozen=True)
class Issuer:
    """Who signs: one private key, and the id under which its public half is published."""

    private: RSAPrivateKey
    kid: str

    def jwk(self, **members: object) -> dict[str, Any]:
        return public_jwk(self.private.public_key(), self.kid, **members)

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.jwk(use="sig", alg="RS256")]}

    def header(self, **members: object) -> dict[str, Any]:
        return {"alg": "RS256", "typ": "at+jwt", "kid": self.kid, **members}

    def claims(self, **members: object) -> dict[str, Any]:
        good = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "user-1",
            "jti": "token-1",
            "iat": NOW,
            "exp": NOW + 900,
            "role": "patient",
            "name": "Ada Lovelace",
        }
        return {**good, **members}

    def token(self, *, header: Mapping[str, object] | None = None, **claims: object) -> str:
        """A good token, but for the members of the header and the claims that are given."""
        return compact(self.header(**(header or {})), self.claims(**claims), rs256(self.private))

    def token_without(self, claim: str) -> str:
        claims = self.claims()
        del claims[claim]
        return self.sign(self.header(), claims)

    def sign(self, header: object, payload: object) -> str:
        return compact(header, payload, rs256(self.private))
