"""A token seen before costs no second signature check, and is never believed for longer for it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from jwtverify import (
    BadSignatureError,
    ExpiredTokenError,
    JWTVerifier,
    PublicKey,
    StaticKeys,
    TokenError,
    UnknownKeyError,
)
from tests.jwtverify.minting import AUDIENCE, ISSUER, NOW, Clock, Issuer


class CountingKey(PublicKey):
    """A key that counts the signatures it checks."""

    checks: ClassVar[int] = 0

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        CountingKey.checks += 1
        return super().verifies(signature, signed)


class ChangingKeys:
    """A key set of which every key can be replaced; `stale` says that it should be looked at."""

    def __init__(self, *keys: PublicKey) -> None:
        self.publish(*keys)
        self.stale = False

    def publish(self, *keys: PublicKey) -> None:
        self._keys = {key.kid: key for key in keys}

    def held(self, kid: str) -> PublicKey | None:
        return None if self.stale else self._keys.get(kid)

    async def key(self, kid: str) -> PublicKey | None:
        self.stale = False
        return self._keys.get(kid)


def public_key(issuer: Issuer) -> PublicKey:
    return PublicKey(issuer.kid, issuer.private.public_key())


def verifier_of(
    keys: ChangingKeys | StaticKeys, clock: Clock, cache_size: int = 4096
) -> JWTVerifier:
    return JWTVerifier(
        issuer=ISSUER, audience=AUDIENCE, keys=keys, clock=clock, cache_size=cache_size
    )


@pytest.fixture
def counting_key(issuer: Issuer) -> CountingKey:
    CountingKey.checks = 0
    return CountingKey(issuer.kid, issuer.private.public_key())


async def test_a_signature_is_checked_once(
    counting_key: CountingKey, issuer: Issuer, clock: Clock
) -> None:
    verifier = verifier_of(ChangingKeys(counting_key), clock)
    token = issuer.token()
    assert verifier.cached(token) is None
    claims = await verifier.verify(token)
    assert verifier.cached(token) is claims
    assert await verifier.verify(token) is claims
    assert CountingKey.checks == 1


async def test_a_refused_token_is_not_remembered(
    counting_key: CountingKey, issuer: Issuer, stranger: Issuer, clock: Clock
) -> None:
    verifier = verifier_of(ChangingKeys(counting_key), clock)
    expired = issuer.token(exp=NOW - 31)
    for token in (stranger.token(), issuer.token(iss="other"), expired):
        for _ in range(2):
            with pytest.raises(TokenError):
                await verifier.verify(token)
        assert verifier.cached(token) is None
    assert CountingKey.checks == 6


async def test_expiry_is_checked_each_time(
    verifier: JWTVerifier, issuer: Issuer, clock: Clock
) -> None:
    token = issuer.token()
    claims = await verifier.verify(token)
    clock.now = NOW + 929
    assert verifier.cached(token) is claims
    clock.now = NOW + 930
    assert verifier.cached(token) is None
    with pytest.raises(ExpiredTokenError):
        await verifier.verify(token)


async def test_a_clock_that_is_set_back_is_noticed(
    verifier: JWTVerifier, issuer: Issuer, clock: Clock
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    clock.now = NOW - 31
    assert verifier.cached(token) is None


async def test_a_withdrawn_key_withdraws_its_tokens(issuer: Issuer, clock: Clock) -> None:
    keys = ChangingKeys(public_key(issuer))
    verifier = verifier_of(keys, clock)
    token = issuer.token()
    await verifier.verify(token)
    keys.publish()
    assert verifier.cached(token) is None
    with pytest.raises(UnknownKeyError):
        await verifier.verify(token)


async def test_a_replaced_key_withdraws_its_tokens(
    issuer: Issuer, stranger: Issuer, clock: Clock
) -> None:
    keys = ChangingKeys(public_key(issuer))
    verifier = verifier_of(keys, clock)
    token = issuer.token()
    await verifier.verify(token)
    keys.publish(public_key(stranger))
    assert verifier.cached(token) is None
    with pytest.raises(BadSignatureError):
        await verifier.verify(token)


async def test_the_same_key_fetched_again_is_the_same_key(
    counting_key: CountingKey, issuer: Issuer, clock: Clock
) -> None:
    keys = ChangingKeys(counting_key)
    verifier = verifier_of(keys, clock)
    token = issuer.token()
    claims = await verifier.verify(token)
    keys.publish(CountingKey(issuer.kid, issuer.private.public_key()))
    assert verifier.cached(token) is claims
    assert CountingKey.checks == 1


async def test_keys_that_need_renewal_are_looked_at_first(issuer: Issuer, clock: Clock) -> None:
    keys = ChangingKeys(public_key(issuer))
    verifier = verifier_of(keys, clock)
    token = issuer.token()
    claims = await verifier.verify(token)
    keys.stale = True
    assert verifier.cached(token) is None
    assert await verifier.verify(token) == claims
    assert not keys.stale


async def test_the_least_recently_used_token_gives_way(issuer: Issuer, clock: Clock) -> None:
    verifier = verifier_of(StaticKeys(issuer.jwks()), clock, cache_size=2)
    first, second, third = (issuer.token(jti=str(number)) for number in range(3))
    await verifier.verify(first)
    await verifier.verify(second)
    assert verifier.cached(first) is not None
    await verifier.verify(third)
    assert verifier.cached(second) is None
    assert verifier.cached(first) is not None
    assert verifier.cached(third) is not None


async def test_no_more_tokens_are_remembered_than_asked_for(issuer: Issuer, clock: Clock) -> None:
    verifier = verifier_of(StaticKeys(issuer.jwks()), clock, cache_size=5)
    tokens = [issuer.token(jti=str(number)) for number in range(20)]
    for token in tokens:
        await verifier.verify(token)
    assert [verifier.cached(token) is not None for token in tokens] == [False] * 15 + [True] * 5


async def test_remembering_can_be_turned_off(issuer: Issuer, clock: Clock) -> None:
    verifier = verifier_of(StaticKeys(issuer.jwks()), clock, cache_size=0)
    assert (await verifier.verify(issuer.token())).subject == "user-1"
    assert verifier.cached(issuer.token()) is None


async def test_one_verifier_s_tokens_are_not_another_s(issuer: Issuer, clock: Clock) -> None:
    jwks: Mapping[str, Any] = issuer.jwks()
    one = verifier_of(StaticKeys(jwks), clock)
    other = JWTVerifier(issuer=ISSUER, audience="other", keys=StaticKeys(jwks), clock=clock)
    token = issuer.token()
    await one.verify(token)
    assert other.cached(token) is None
