"""The signed examples of RFC 7520: the RS256 ones verify, and none is an access token."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from jwtverify import JWTVerifier, StaticKeys, TokenError, UnsupportedTokenError
from tests.jwtverify.minting import AUDIENCE, ISSUER, Clock

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "rfc7520"
KID = "bilbo.baggins@hobbiton.example"

pytestmark = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the RFC 7520 examples are not beside this repository"
)


def read(section: str) -> Any:
    (path,) = VECTORS.glob(f"{section}.*.json")
    return json.loads(path.read_text())


def signature(example: dict[str, Any]) -> bytes:
    return urlsafe_b64decode(example["sig"] + "==")


def test_the_rsa_signature_verifies() -> None:
    key = StaticKeys({"keys": [read("3_3")]}).held(KID)
    example = read("4_1")["signing"]
    assert key is not None
    assert key.verifies(signature(example), example["sig-input"].encode())
    assert not key.verifies(signature(example), example["sig-input"].encode() + b"A")


def test_the_rsa_signature_of_several_verifies() -> None:
    key = StaticKeys({"keys": [read("3_3")]}).held(KID)
    example = read("4_8")["signing"][0]
    assert key is not None
    assert key.verifies(signature(example), example["sig-input"].encode())


def test_a_signature_of_another_algorithm_does_not() -> None:
    key = StaticKeys({"keys": [read("3_3")]}).held(KID)
    assert key is not None
    for section in ("4_2", "4_3", "4_4"):
        example = read(section)["signing"]
        assert not key.verifies(signature(example), example["sig-input"].encode())


@pytest.mark.parametrize("section", ["3_1", "3_2", "3_4", "3_5", "3_6"])
def test_a_key_of_another_kind_and_a_private_one_are_passed_over(section: str) -> None:
    jwk = read(section)
    assert StaticKeys({"keys": [jwk]}).held(jwk["kid"]) is None


@pytest.mark.parametrize("section", [f"4_{number}" for number in range(1, 9)])
async def test_no_example_is_an_access_token(section: str, clock: Clock) -> None:
    keys = StaticKeys({"keys": [read("3_3")]})
    verifier = JWTVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys, clock=clock)
    output = read(section)["output"]
    for form, token in output.items():
        refusal = UnsupportedTokenError if form == "compact" else TokenError
        with pytest.raises(refusal):
            await verifier.verify(token if form == "compact" else json.dumps(token))
