"""Public keys by their ids: from a document at hand, or from an address, fetched and kept."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256
from yarl import URL

from jwtverify.encoding import decode_base64url, decode_json_object
from jwtverify.errors import KeysUnavailable

MAX_KEYS: Final = 10  # as the ALB's own jwt-validation action bounds a key set
MAX_BYTES: Final = 150 * 1024  # likewise

# RSA keys under 2048 bits are too weak (RFC 7518 section 3.3). Above 8192, or with a huge exponent,
# one verification would cost so much that a bad key set could stall the process.
_MODULUS_BITS: Final = range(2048, 8192 + 1)
_EXPONENT_BITS: Final = range(2, 32 + 1)

_REFRESH_AFTER: Final = 0.8  # of the lifetime; from then on the set is renewed in the background
_FIRST_RETRY: Final = 1.0  # seconds between attempts as long as there is no key set at all

_PADDING: Final = PKCS1v15()
_SHA256: Final = SHA256()

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA public key bound to RS256 (RFC 7518 section 3.3): it can verify nothing else.

    Attributes:
        kid: The id by which a token names it; never empty.
        rsa: The key itself, 2048 to 8192 bits.

    Raises:
        ValueError: for an empty id or a key of another size.
    """

    kid: str
    rsa: RSAPublicKey

    def __post_init__(self) -> None:
        if not self.kid:
            raise ValueError("a key needs an id")
        if self.rsa.key_size not in _MODULUS_BITS:
            raise ValueError("an RSA key has 2048 to 8192 bits")

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Whether this key made `signature` over the bytes `signed`."""
        try:
            self.rsa.verify(signature, signed, _PADDING, _SHA256)
        except InvalidSignature:
            return False
        return True


class KeySource(Protocol):
    """Where a verifier gets the key that a token names."""

    def held(self, kid: str) -> PublicKey | None:
        """The key, if it is at hand and needs no looking up; asked for every token, so quick."""

    async def key(self, kid: str) -> PublicKey | None:
        """The key, looked up if need be; None if there is no such key.

        Raises:
            KeysUnavailable: if no keys could be had at all.
        """


class StaticKeys:
    """The keys of one document (RFC 7517 section 5), for good.

    Args:
        jwks: `{"keys": [...]}`. As RFC 7517 asks, a key that is no use here (not RSA, for
            encryption, for another algorithm, without an id, too small) is passed over.

    Raises:
        ValueError: if it isn't a key set, has more than ten keys, or two keys share an id.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = read_key_set(jwks)

    def held(self, kid: str) -> PublicKey | None:
        """The key with this id, None if there is none."""
        return self._keys.get(kid)

    async def key(self, kid: str) -> PublicKey | None:
        """The key with this id, None if there is none."""
        return self._keys.get(kid)


class RemoteKeys:
    """The key set published at an address, fetched at the first need and kept.

    A set serves for `lifetime`. In its last fifth it is renewed in the background, so that under
    traffic nobody waits; after it, callers wait for the new one. A key id that isn't in the set
    fetches it anew, but no sooner than `min_refetch` after the last attempt. All who need a fetch
    share one; a caller who gives up doesn't end it for the others. If a fetch fails the old keys
    stay, with a warning logged, and the next attempt is `min_refetch` later. Redirects aren't
    followed: the address is configuration, and whoever answers there doesn't get to change it.

    Args:
        url: The address; https, unless the network between is trusted.
        session: Whose connections are used; it must live longer than this and isn't closed here.
        lifetime: Seconds for which a fetched set serves; at least `min_refetch`.
        min_refetch: Seconds between attempts once there is a set. Without one it is a second.
        timeout: Seconds that one fetch may take in all.
        max_bytes: Size that the document may have, decompressed.
        clock: Seconds from any origin, never going back.

    Raises:
        ValueError: if `url` isn't absolute, or `lifetime` is shorter than `min_refetch`.
    """

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        *,
        lifetime: float = 300.0,
        min_refetch: float = 30.0,
        timeout: float = 3.0,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if lifetime < min_refetch:
            raise ValueError("lifetime must be at least min_refetch")
        self._url = URL(url)
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise ValueError("the key set's address is not an absolute http or https URL")
        self._session = session
        self._lifetime = lifetime
        self._min_refetch = min_refetch
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._clock = clock
        self._keys: dict[str, PublicKey] | None = None
        self._failure = "not fetched yet"
        self._fetching: asyncio.Task[None] | None = None
        self._closed = False
        # Three moments on the clock: until when a known key is given out without a thought; until
        # when it is given out at once, though a fetch is due; from when an unknown key, or an
        # expired set, is worth another fetch.
        self._refresh_at = self._expires_at = self._refetch_at = float("-inf")

    def held(self, kid: str) -> PublicKey | None:
        """The key, if the set has it and needs no renewal yet."""
        if self._keys is None or self._clock() >= self._refresh_at:
            return None
        return self._keys.get(kid)

    async def key(self, kid: str) -> PublicKey | None:
        """The key with this id, None if the published set has none.

        Raises:
            KeysUnavailable: if there has never been a set, and this fetch failed too or the last
                failed less than a second ago.
        """
        now = self._clock()
        known = self._keys.get(kid) if self._keys and now < self._expires_at else None
        due = now >= (self._refetch_at if known is None else self._refresh_at)
        fetching = self._fetching
        if fetching is None and due and not self._closed:
            fetching = self._start_fetch()
        if known is not None:
            return known
        if fetching is not None:
            # Not awaited itself: that would hand a caller's cancellation on to the fetch.
            await asyncio.wait({fetching})
            if not fetching.cancelled():
                fetching.result()  # a defect in the fetch is raised, not swallowed
        if self._keys is None:
            raise KeysUnavailable(f"no key set from {self._url}: {self._failure}")
        return self._keys.get(kid)

    async def aclose(self) -> None:
        """Ends a fetch that is under way, and starts none any more; the keys at hand stay."""
        self._closed = True
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    def _start_fetch(self) -> asyncio.Task[None]:
        # While it is under way nothing else is due before the set expires.
        self._refresh_at = self._expires_at
        self._fetching = asyncio.create_task(self._fetch(), name="jwtverify key set")
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                keys = read_key_set(decode_json_object(await self._download()))
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError too
            self._keep_old(type(error).__name__)  # its text may quote what was answered
        except ValueError as error:
            self._keep_old(str(error))
        else:
            self._replace(keys)
        finally:
            self._fetching = None

    async def _download(self) -> bytes:
        headers = {"Accept": "application/jwk-set+json, application/json"}
        async with self._session.get(self._url, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > self._max_bytes:
                    raise ValueError(f"more than {self._max_bytes} bytes")
            return bytes(body)

    def _replace(self, keys: dict[str, PublicKey]) -> None:
        now = self._clock()
        self._keys = keys
        self._refetch_at = now + self._min_refetch
        self._refresh_at = max(now + self._lifetime * _REFRESH_AFTER, self._refetch_at)
        self._expires_at = now + self._lifetime

    def _keep_old(self, failure: str) -> None:
        self._failure = failure
        now = self._clock()
        if self._keys is None:
            self._refetch_at = now + _FIRST_RETRY
        else:
            self._refresh_at = self._refetch_at = now + self._min_refetch
            # The old set serves until the next attempt is over, so that an outage makes nobody
            # wait as long as there is traffic to start that attempt.
            self._expires_at = max(self._expires_at, self._refresh_at + self._timeout)
        _log.warning("key set at %s not fetched: %s", self._url, failure)


def read_key_set(document: Mapping[str, Any]) -> dict[str, PublicKey]:
    """The usable keys of a JWK set (RFC 7517 section 5) by their ids; the others are passed over.

    Raises:
        ValueError: if it isn't a key set, has more than ten keys, or two usable ones share an id.
    """
    jwks = document.get("keys")
    if not isinstance(jwks, list) or not all(isinstance(jwk, dict) for jwk in jwks):
        raise ValueError("not a key set")
    if len(jwks) > MAX_KEYS:
        raise ValueError(f"more than {MAX_KEYS} keys")
    usable = [key for jwk in jwks if (key := _usable(jwk)) is not None]
    keys = {key.kid: key for key in usable}
    if len(keys) != len(usable):
        raise ValueError("two keys share an id")
    return keys


def _usable(jwk: dict[str, Any]) -> PublicKey | None:
    """The key if it is an RSA key for verifying RS256 signatures, None if not."""
    operations = jwk.get("key_ops", ["verify"])
    kid = jwk.get("kid")
    if (
        jwk.get("kty") != "RSA"
        or jwk.get("use", "sig") != "sig"
        or jwk.get("alg", "RS256") != "RS256"
        or not isinstance(operations, list)
        or "verify" not in operations
        or not isinstance(kid, str)
        or "d" in jwk  # a private key that was published: anyone can sign with it
    ):
        return None
    try:
        modulus, exponent = _integer(jwk.get("n")), _integer(jwk.get("e"))
        if exponent.bit_length() not in _EXPONENT_BITS or modulus.bit_length() not in _MODULUS_BITS:
            return None
        if modulus % 2 == 0:  # the product of no two primes, and not refused below
            return None
        return PublicKey(kid, RSAPublicNumbers(exponent, modulus).public_key())
    except ValueError:
        return None  # not base64url, an even exponent, or an empty id


def _integer(text: object) -> int:
    if not isinstance(text, str):
        raise ValueError("not a string")  # noqa: TRY004 - the document's fault, as any other
    return int.from_bytes(decode_base64url(text.encode()))
