"""Replacing the keys that sign: what an operator does to them, by commands."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric import rsa

from users_service.domain.audit import Action
from users_service.domain.keys import (
    MAX_PUBLISHED,
    PUBLISHED_AHEAD,
    KeyState,
    SigningKey,
    published_keys,
    state_of,
    usable_keys,
)
from users_service.errors import KeyChangeRefusedError
from users_service.service.keys import FACTORS, Sealing, key_entry, new_private_key, sealed_key
from users_service.store import FactorStore, KeyStore

_FACTORS_AT_ONCE: Final = 500


class _Store(KeyStore, FactorStore, Protocol):
    """Where there is something sealed."""


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key, and where it is in its life."""

    key: SigningKey
    state: KeyState


class Rotation:
    """Makes, lists and retires signing keys; and reseals them and second factors.

    Args:
        clock: the moment, aware; of the operator's machine, so it may be behind or ahead by
            CLOCK_SKEW of those that sign.
        generate: makes a private key.
    """

    def __init__(
        self,
        store: _Store,
        sealing: Sealing,
        clock: Callable[[], datetime],
        generate: Callable[[], rsa.RSAPrivateKey] = new_private_key,
    ) -> None:
        self._store = store
        self._sealing = sealing
        self._clock = clock
        self._generate = generate

    async def rotate(self, *, at_once: bool = False) -> SigningKey:
        """The next key: published from now on, and signing once every verifier can have it.

        Args:
            at_once: it signs now. Who verifies with a key set that was fetched before refuses its
                tokens until it fetches another.

        Raises:
            KeyChangeRefusedError: another rotation was first, or is under way; there is no first
                key yet; or as many keys are published as verifiers take.
        """
        keys, now = await self._store.signing_keys(), self._clock()
        if not keys:
            raise KeyChangeRefusedError("there is no signing key yet: run `migrate` first")
        if len(published_keys(keys, now)) >= MAX_PUBLISHED:
            raise KeyChangeRefusedError(
                f"{MAX_PUBLISHED} keys are published, as many as verifiers take: wait for old ones"
                " to be over, or retire one"
            )
        waiting = [key for key in keys if state_of(key, keys, now) == "published"]
        if waiting and not at_once:
            raise KeyChangeRefusedError(
                f"key {waiting[0].key_id} is published already and signs from"
                f" {waiting[0].signs_from:%Y-%m-%d %H:%M:%S} UTC"
            )
        private = await asyncio.to_thread(self._generate)
        generation = max(key.generation for key in keys) + 1
        now = self._clock()
        signs_from = now if at_once else now + PUBLISHED_AHEAD
        made = sealed_key(self._sealing, private, generation, signs_from)
        if not await self._store.add_signing_key(made, key_entry(Action.KEY_MADE, made, now)):
            raise KeyChangeRefusedError(
                "another rotation at this moment was first: see `keys list`"
            )
        return made

    async def list(self) -> list[ListedKey]:
        """All keys that are stored, oldest first."""
        keys, now = await self._store.signing_keys(), self._clock()
        ordered = sorted(keys, key=lambda key: key.generation)
        return [ListedKey(key, state_of(key, keys, now)) for key in ordered]

    async def retire(self, key_id: str) -> SigningKey:
        """Takes a key out at once: tokens that it signed are refused from then on.

        Raises:
            KeyChangeRefusedError: there is no such key, it is retired already, or no other could
                sign now.
        """
        keys, now = await self._store.signing_keys(), self._clock()
        key = next((key for key in keys if key.key_id == key_id), None)
        if key is None:
            raise KeyChangeRefusedError(f"there is no key {key_id}")
        if key.retired_at is not None:
            raise KeyChangeRefusedError(f"key {key_id} is retired already")
        others = {other.key_id for other in usable_keys(keys, now)} - {key_id}
        # In one statement with the change: of two that are retired at once, one must stay.
        if not others or not await self._store.retire_signing_key(
            key_id, others, now, key_entry(Action.KEY_RETIRED, key, now)
        ):
            raise KeyChangeRefusedError(
                f"without key {key_id} none could sign: run `keys rotate --now` first"
            )
        return key

    async def reseal(self) -> int:
        """Seals with the sealing key what is sealed with the previous one; how many secrets.

        They are the signing keys, and the secrets of second factors: when none is left, the
        previous sealing key can go.

        Raises:
            UnreadableKeyError: one is sealed with neither.
        """
        count = 0
        for key in await self._store.signing_keys():
            sealed = self._sealing.resealed(key.sealed, key.key_id)
            if sealed is not None:
                count += await self._store.reseal_signing_key(key.key_id, key.sealed, sealed)
        return count + await self._reseal_factors()

    async def _reseal_factors(self) -> int:
        sealing, count, after = self._sealing.of(FACTORS), 0, ""
        while page := await self._store.sealed_factors(after, _FACTORS_AT_ONCE):
            for user_id, before in page:
                sealed = sealing.resealed(before, user_id)
                if sealed is not None:
                    count += await self._store.reseal_factor(user_id, before, sealed)
            after = page[-1][0]
        return count
