"""Which published keys are usable, and which documents are no key set at all."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from jwtverify import JWTVerifier, PublicKey, StaticKeys, UnknownKeyError
from tests.jwtverify.minting import AUDIENCE, ISSUER, Clock, Issuer, number_jwk, public_jwk


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"use": "sig"},
        {"alg": "RS256"},
        {"key_ops": ["verify"]},
        {"use": "sig", "alg": "RS256", "key_ops": ["sign", "verify"], "x5t": "ignored", "more": {}},
    ],
)
async def test_an_rsa_key_for_signatures_is_usable(
    issuer: Issuer, members: dict[str, object]
) -> None:
    keys = StaticKeys({"keys": [issuer.jwk(**members)]})
    expected = PublicKey("key-1", issuer.private.public_key())
    assert keys.held("key-1") == expected
    assert await keys.key("key-1") == expected
    assert keys.held("key-2") is None
    assert await keys.key("key-2") is None


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": None},
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"alg": "HS256"},
        {"alg": None},
        {"key_ops": []},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"kty": "EC"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": None},
        {"kid": ""},
        {"kid": None},
        {"kid": 1},
        {"kid": ["key-1"]},
        {"n": None},
        {"n": 65537},
        {"n": ""},
        {"n": "not base64url!"},
        {"n": "é"},
        {"e": None},
        {"e": 65537},
        {"e": ""},
        {"e": "AQAB=="},
        {"d": "AQAB"},
    ],
)
def test_any_other_key_is_passed_over(issuer: Issuer, members: dict[str, object]) -> None:
    good = public_jwk(issuer.private.public_key(), "good")
    keys = StaticKeys({"keys": [{**issuer.jwk(), **members}, good]})
    assert keys.held("key-1") is None
    assert keys.held("good") is not None


@pytest.mark.parametrize("member", ["kty", "kid", "n", "e"])
def test_a_key_without_a_needed_member_is_passed_over(issuer: Issuer, member: str) -> None:
    jwk = issuer.jwk()
    del jwk[member]
    assert StaticKeys({"keys": [jwk]}).held("key-1") is None


@pytest.mark.parametrize(
    ("modulus", "exponent", "usable"),
    [
        (2**2046 + 1, 65537, False),
        (2**2047 + 1, 65537, True),
        (2**8191 + 1, 65537, True),
        (2**8192 + 1, 65537, False),
        (2**2047, 65537, False),
        (2**2047 + 1, 1, False),
        (2**2047 + 1, 2, False),
        (2**2047 + 1, 3, True),
        (2**2047 + 1, 2**32 - 1, True),
        (2**2047 + 1, 2**32 + 1, False),
    ],
    ids=lambda value: f"{value.bit_length()} bits" if value > 1 else None,
)
def test_the_size_of_a_key_is_bounded(modulus: int, exponent: int, usable: bool) -> None:
    keys = StaticKeys({"keys": [number_jwk(modulus, exponent, kid="key")]})
    assert (keys.held("key") is not None) is usable


async def test_a_weak_key_s_good_signature_is_refused(clock: Clock) -> None:
    weak = Issuer(rsa.generate_private_key(65537, 1024), "weak")  # noqa: S505 - the point of it
    keys = StaticKeys(weak.jwks())
    verifier = JWTVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys, clock=clock)
    with pytest.raises(UnknownKeyError):
        await verifier.verify(weak.token())


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "not a key set"),
        ({"keys": None}, "not a key set"),
        ({"keys": {}}, "not a key set"),
        ({"keys": "keys"}, "not a key set"),
        ({"keys": ["key"]}, "not a key set"),
        ({"keys": [[]]}, "not a key set"),
        ({"keys": [{}] * 11}, "more than 10"),
    ],
)
def test_what_is_no_key_set_is_an_error(document: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        StaticKeys(document)


def test_two_keys_of_one_id_are_an_error(issuer: Issuer) -> None:
    with pytest.raises(ValueError, match="share an id"):
        StaticKeys({"keys": [issuer.jwk(), issuer.jwk()]})


def test_an_unusable_key_may_share_an_id(issuer: Issuer) -> None:
    keys = StaticKeys({"keys": [issuer.jwk(use="enc"), issuer.jwk()]})
    assert keys.held("key-1") is not None


def test_ten_keys_are_not_too_many(issuer: Issuer) -> None:
    public = issuer.private.public_key()
    keys = StaticKeys({"keys": [public_jwk(public, str(number)) for number in range(10)]})
    assert all(keys.held(str(number)) for number in range(10))


def test_a_set_may_be_empty() -> None:
    assert StaticKeys({"keys": []}).held("key-1") is None


def test_a_key_is_bound_to_its_rules() -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - the point of it
    strong = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(ValueError, match="2048"):
        PublicKey("key", weak)
    with pytest.raises(ValueError, match="id"):
        PublicKey("", strong)
