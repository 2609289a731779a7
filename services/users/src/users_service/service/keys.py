"""The keys that sign access tokens: made once, sealed in the database, known to every instance."""

import asyncio
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from jwtverify import KeysUnavailable, PublicKey
from servicekit.ids import new_id
from users_service.domain.audit import SYSTEM, Action, Entry, Outcome
from users_service.domain.keys import (
    RING_LIFETIME,
    SigningKey,
    published_keys,
    signing_key,
)
from users_service.errors import StoreUnavailableError, UnreadableKeyError
from users_service.store import KeyStore

KEY_BITS: Final = 2048
KEPT_SECONDS: Final = RING_LIFETIME.total_seconds()
FACTORS: Final = b"users: second factors"
"""The purpose that second factors' secrets are sealed for."""
_NONCE_BYTES: Final = 12


class Sealing:
    """What is derived from the sealing key: one key for each purpose (RFC 5869).

    Args:
        purpose: of what is sealed; what is sealed for one can't be opened for another.
        previous: a sealing key that is being replaced, or the one that will replace this: what is
            sealed with it can be opened, and nothing new is sealed with it.
    """

    def __init__(
        self,
        sealing_key: bytes,
        previous: bytes | None = None,
        *,
        purpose: bytes = b"users: signing keys",
    ) -> None:
        self._keys = (sealing_key, previous)
        self._aead = _aead(sealing_key, purpose)
        self._previous = None if previous is None else _aead(previous, purpose)
        self.refresh_key = _derive(sealing_key, b"users: refresh tokens")

    def of(self, purpose: bytes) -> "Sealing":
        """By the same keys, for another purpose."""
        return Sealing(*self._keys, purpose=purpose)

    def seal(self, plain: bytes, name: str) -> str:
        """The bytes encrypted and bound to a name, as URL-safe text."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return urlsafe_b64encode(nonce + self._aead.encrypt(nonce, plain, name.encode())).decode()

    def open(self, sealed: str, name: str) -> bytes:
        """The bytes that were sealed. Raises UnreadableKeyError."""
        for aead in (self._aead, self._previous):
            if aead is not None and (plain := _opened(aead, sealed, name)) is not None:
                return plain
        raise UnreadableKeyError(
            "the sealing key is not the one that what is in the database was sealed with"
        )

    def resealed(self, sealed: str, name: str) -> str | None:
        """The same bytes sealed with this key; None if they are. Raises UnreadableKeyError."""
        if _opened(self._aead, sealed, name) is not None:
            return None
        return self.seal(self.open(sealed, name), name)


def _aead(sealing_key: bytes, purpose: bytes) -> AESGCM:
    return AESGCM(_derive(sealing_key, purpose))


def _opened(aead: AESGCM, sealed: str, name: str) -> bytes | None:
    raw = urlsafe_b64decode(sealed)
    try:
        return aead.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], name.encode())
    except InvalidTag:
        return None


def _derive(sealing_key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(sealing_key)


class KeyRing:
    """The keys in memory, read again from the database every `KEPT_SECONDS` while they are used.

    It is the verifier's source of keys as well, so that the service takes its own tokens without
    asking itself over HTTP. When the database is away the keys at hand go on serving.

    Args:
        clock: the moment, aware.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        store: KeyStore,
        sealing: Sealing,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._sealing = sealing
        self._clock = clock
        self._monotonic = monotonic
        self._keys: list[SigningKey] = []
        self._public: dict[str, PublicKey] = {}
        self._private: dict[str, rsa.RSAPrivateKey] = {}
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def ensure(self) -> None:
        """Makes the first key if there is none. Of instances that do so at once, one wins.

        Raises:
            StoreUnavailableError: the database is away.
            UnreadableKeyError: the sealing key is another than the keys were sealed with.
        """
        await self.signer()

    async def signer(self) -> tuple[str, rsa.RSAPrivateKey]:
        """The id and the private part of the key that signs now.

        Raises:
            StoreUnavailableError: no key is at hand, and the database is away.
            UnreadableKeyError: as for `ensure`.
        """
        await self._refresh()
        key = signing_key(self._keys, self._clock())
        if key is None:
            await self._make_first()
            key = signing_key(self._keys, self._clock())
        if key is None:
            raise StoreUnavailableError("no signing key has begun to sign yet")
        private = self._private.get(key.key_id)
        if private is None:
            private = self._private[key.key_id] = self._open(key)
        return key.key_id, private

    async def published(self) -> list[PublicKey]:
        """The keys to publish. Raises StoreUnavailableError if none could ever be read."""
        await self._refresh()
        return [self._public[key.key_id] for key in published_keys(self._keys, self._clock())]

    def held(self, kid: str) -> PublicKey | None:
        """A key that is at hand, and not for too long (KeySource)."""
        return None if self._is_stale() else self._public.get(kid)

    async def key(self, kid: str) -> PublicKey | None:
        """A key, read if need be (KeySource). Raises KeysUnavailable."""
        # Also for a key that is known: it may have been retired since.
        try:
            await self._refresh()
        except StoreUnavailableError as error:
            raise KeysUnavailable("the keys can't be read") from error
        return self._public.get(kid)

    async def _refresh(self) -> None:
        """Reads the keys if it is time to; one caller at a time, the others share what it read."""
        if not self._is_stale():
            return
        async with self._lock:
            if self._is_stale():
                await self._read()

    def _is_stale(self) -> bool:
        return self._monotonic() - self._read_at >= KEPT_SECONDS

    async def _read(self) -> None:
        try:
            keys = list(await self._store.signing_keys())
        except StoreUnavailableError:
            if not self._keys:
                raise
        else:
            self._keys = keys
            live = {key.key_id for key in published_keys(keys, self._clock())}
            self._public = {key.key_id: _public(key) for key in keys if key.key_id in live}
        self._read_at = self._monotonic()

    async def _make_first(self) -> None:
        async with self._lock:
            await self._read()
            if self._keys:
                return
            # It takes a tenth of a second or two, and the loop has others to serve.
            private = await asyncio.to_thread(new_private_key)
            key = sealed_key(self._sealing, private, 1, self._clock())
            await self._store.add_signing_key(key, key_entry(Action.KEY_MADE, key, key.signs_from))
            await self._read()

    def _open(self, key: SigningKey) -> rsa.RSAPrivateKey:
        private = serialization.load_der_private_key(
            self._sealing.open(key.sealed, key.key_id), password=None
        )
        if not isinstance(private, rsa.RSAPrivateKey):
            raise UnreadableKeyError("the signing key is not an RSA key")
        return private


def key_entry(action: Action, key: SigningKey, now: datetime) -> Entry:
    """What the audit log says of a key: its number, for its id may have any letters."""
    details = f"generation={key.generation}"
    return Entry(new_id(now), now, action, Outcome.DONE, SYSTEM, details=details)


def new_private_key() -> rsa.RSAPrivateKey:
    """A key to sign with; takes a tenth of a second or two."""
    return rsa.generate_private_key(65537, KEY_BITS)


def sealed_key(
    sealing: Sealing, private: rsa.RSAPrivateKey, generation: int, signs_from: datetime
) -> SigningKey:
    """A key as it is stored, with an id drawn for it."""
    key_id = secrets.token_urlsafe(12)
    plain = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    sealed = sealing.seal(plain, key_id)
    return SigningKey(generation, key_id, public.decode(), sealed, signs_from)


def _public(key: SigningKey) -> PublicKey:
    public = serialization.load_pem_public_key(key.public_pem.encode())
    if not isinstance(public, rsa.RSAPublicKey):
        raise UnreadableKeyError("the signing key is not an RSA key")
    return PublicKey(key.key_id, public)


def jwk(key: PublicKey) -> dict[str, Any]:
    """A key as a member of a key set (RFC 7517, RFC 7518 section 6.3)."""
    numbers = key.rsa.public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key.kid,
        "n": _base64url(numbers.n),
        "e": _base64url(numbers.e),
    }


def _base64url(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return urlsafe_b64encode(raw).decode().rstrip("=")
