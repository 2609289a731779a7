"""The check of one token: its form, its header, its signature, its claims, and the time."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from jwtverify.claims import Claims, read_claims
from jwtverify.encoding import decode_base64url, decode_json_object
from jwtverify.errors import (
    BadSignatureError,
    ExpiredTokenError,
    MalformedTokenError,
    PrematureTokenError,
    UnknownKeyError,
    UnsupportedTokenError,
)
from jwtverify.keys import KeySource, PublicKey

MAX_TOKEN: Final = 8 * 1024  # characters; what any server lets one header line have
MAX_LEEWAY: Final = 60.0  # seconds; more would be a longer lifetime, not a tolerance

_ALGORITHM: Final = "RS256"
_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})  # RFC 9068 section 2.1


class _Seen(NamedTuple):
    """A verified token: with which key, and from when until when it counts, leeway included."""

    key: PublicKey
    claims: Claims
    valid_from: float
    valid_until: float


class JWTVerifier:
    """Verifies access tokens of one issuer for one audience (RFC 9068, RFC 8725).

    Only RS256, only the published keys, only `typ: at+jwt`; required are `iss`, `aud`, `exp`,
    `iat`, `sub` and `jti`. Where a token says its key is (`jku`, `x5u`, `jwk`, `x5c`) is never
    looked at. For one event loop; not for several threads.

    Args:
        issuer: What `iss` must be, to the letter.
        audience: What `aud` must be or contain.
        keys: Where the keys come from.
        leeway: Seconds by which the issuer's clock and this one may differ, 0 to 60.
        clock: Seconds since 1970 UTC.
        cache_size: How many verified tokens are remembered, the least recently used one giving
            way; 0 for none.

    Raises:
        ValueError: for a leeway out of bounds, or an empty issuer or audience.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: KeySource,
        leeway: float = 30,
        clock: Callable[[], float] = time.time,
        cache_size: int = 4096,
    ) -> None:
        if not 0 <= leeway <= MAX_LEEWAY:
            raise ValueError("leeway is 0 to 60 seconds")
        if not issuer or not audience:
            raise ValueError("issuer and audience must not be empty")
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._leeway = leeway
        self._clock = clock
        self._cache_size = cache_size
        # By the token itself and not by its SHA-256, which would cost more than all the rest of a
        # look-up. Nothing leaks by timing: the interpreter's string hash is keyed at random, and
        # characters are compared only once all 64 bits of it agree.
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    async def verify(self, token: str) -> Claims:
        """The claims of a token, in compact form, that is good now.

        Raises:
            TokenError: if it is refused, whatever the string; `reason` says why.
            KeysUnavailable: if there are no keys to verify it with.
        """
        claims = self.cached(token)
        if claims is not None:
            return claims
        kid, signed, payload, signature = _parse(token)
        key = await self._keys.key(kid)
        if key is None:
            raise UnknownKeyError("no such key in the key set")
        # Before anything that the token claims is looked at.
        if not key.verifies(signature, signed):
            raise BadSignatureError("the signature is not that key's")
        claims = read_claims(payload, issuer=self._issuer, audience=self._audience)
        seen = self._seen_with(key, claims)
        now = self._clock()
        if now >= seen.valid_until:
            raise ExpiredTokenError("the token has expired")
        if now < seen.valid_from:
            raise PrematureTokenError("the token is not valid yet")
        self._remember(token, seen)
        return claims

    def cached(self, token: str) -> Claims | None:
        """The claims of a token that was verified before and is still good; None says nothing.

        It is good if its time isn't over and the very key that verified it is still in the set.
        This neither waits nor raises: ask `verify` when it answers None.
        """
        if len(token) > MAX_TOKEN:
            return None
        seen = self._seen.get(token)
        if seen is None:
            return None
        if not seen.valid_from <= self._clock() < seen.valid_until:
            del self._seen[token]
            return None
        key = self._keys.held(seen.key.kid)
        if key is not seen.key and key != seen.key:
            return None
        self._seen.move_to_end(token)
        return seen.claims

    def _seen_with(self, key: PublicKey, claims: Claims) -> _Seen:
        raw = claims.raw
        starts = max(raw["iat"], raw.get("nbf", 0))
        return _Seen(key, claims, starts - self._leeway, raw["exp"] + self._leeway)

    def _remember(self, token: str, seen: _Seen) -> None:
        self._seen[token] = seen
        self._seen.move_to_end(token)
        while len(self._seen) > self._cache_size:
            self._seen.popitem(last=False)


def _parse(token: str) -> tuple[str, bytes, bytes, bytes]:
    """The key's id, the bytes signed, the payload and the signature (RFC 7515 section 7.1).

    Raises:
        MalformedTokenError: if it isn't of that form.
        UnsupportedTokenError: for a header that asks for anything else than is offered.
    """
    if len(token) > MAX_TOKEN:
        raise MalformedTokenError(f"longer than {MAX_TOKEN} characters")
    try:
        signed, _, signature_text = token.encode("ascii").rpartition(b".")
        header_text, payload_text = signed.split(b".")
        header = decode_json_object(decode_base64url(header_text))
        payload = decode_base64url(payload_text)
        signature = decode_base64url(signature_text)
    except ValueError as error:
        raise MalformedTokenError("not a JWT in compact form") from error
    return _key_id(header), signed, payload, signature


def _key_id(header: dict[str, Any]) -> str:
    """The key that a header names, once all it asks for is what is offered."""
    if header.get("alg") != _ALGORITHM:
        raise UnsupportedTokenError("the algorithm is not RS256")
    kind = header.get("typ")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise UnsupportedTokenError("the type is not at+jwt")
    # No extension is understood here, so each one that must be is refused (RFC 7515 section
    # 4.1.11), and so is the one that changes what is signed, listed or not (RFC 7797).
    if "crit" in header or header.get("b64", True) is not True:
        raise UnsupportedTokenError("the header asks for an extension")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise UnsupportedTokenError("the header names no key")
    return kid
