"""Whatever the string: claims or a refusal, and never a forged token's claims."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwtverify import InvalidClaimsError, JWTVerifier, StaticKeys, TokenError, UnknownKeyError
from tests.jwtverify.minting import AUDIENCE, ISSUER, NOW, Issuer

NAUGHTY = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "blns.json"
SIGNED_BY = Issuer(rsa.generate_private_key(65537, 2048), "key-1")
GOOD = SIGNED_BY.token()
VERIFIER = JWTVerifier(
    issuer=ISSUER, audience=AUDIENCE, keys=StaticKeys(SIGNED_BY.jwks()), clock=lambda: NOW
)

# Timings of single examples mean nothing where several jobs share a machine.
whatever = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


async def is_refused(token: str) -> bool:
    assert VERIFIER.cached(token) is None
    try:
        await VERIFIER.verify(token)
    except TokenError as error:
        return bool(error.reason) and error.reason.isascii()
    return False


@whatever
@given(st.text(st.characters(exclude_categories=())))
async def test_any_string_is_refused(token: str) -> None:
    assert await is_refused(token)


@whatever
@given(st.lists(st.text("ABCdef012-_="), min_size=2, max_size=4))
async def test_any_parts_are_refused(parts: list[str]) -> None:
    assert await is_refused(".".join(parts))


@whatever
@given(
    st.integers(0, len(GOOD)),
    st.integers(0, 20),
    st.text(st.characters(exclude_categories=()), max_size=20),
)
async def test_any_change_of_a_good_token_is_refused(start: int, length: int, text: str) -> None:
    mangled = GOOD[:start] + text + GOOD[start + length :]
    if mangled == GOOD:
        assert (await VERIFIER.verify(mangled)).subject == "user-1"
    else:
        assert await is_refused(mangled)


@whatever
@given(st.permutations(GOOD.split(".")), st.sampled_from([".", "..", "", " ", "\n"]))
async def test_the_parts_fit_in_one_order_only(parts: list[str], dot: str) -> None:
    token = dot.join(parts)
    assert token == GOOD or await is_refused(token)


@whatever
@given(JSON)
async def test_any_signed_payload_is_refused(payload: Any) -> None:
    assert await is_refused(SIGNED_BY.sign(SIGNED_BY.header(), payload))


@whatever
@given(JSON)
async def test_any_signed_header_is_refused(header: Any) -> None:
    assert await is_refused(SIGNED_BY.sign(header, SIGNED_BY.claims()))


@whatever
@given(st.sampled_from(["alg", "typ", "kid", "crit"]), JSON)
async def test_any_value_of_a_header_member_is_refused(member: str, value: Any) -> None:
    same = isinstance(value, str) and (value == "key-1" or value.lower().endswith("at+jwt"))
    token = SIGNED_BY.sign(SIGNED_BY.header(**{member: value}), SIGNED_BY.claims())
    assert same or await is_refused(token)


@whatever
@given(st.sampled_from(["iss", "aud", "sub", "jti", "iat", "exp", "nbf", "role", "scope"]), JSON)
async def test_any_value_of_a_claim_is_refused_or_given_back(claim: str, value: Any) -> None:
    payload = json.dumps(SIGNED_BY.claims(**{claim: value})).encode()
    try:
        claims = await VERIFIER.verify(SIGNED_BY.sign(SIGNED_BY.header(), payload))
    except TokenError:
        assert claim not in {"role", "scope"} or not (isinstance(value, str) and value.isascii())
    else:
        assert claims.raw[claim] == value


@pytest.mark.skipif(not NAUGHTY.is_file(), reason="blns.json is not beside this repository")
async def test_naughty_strings_are_refused_as_tokens_and_kept_as_claims() -> None:
    naughty: list[str] = json.loads(NAUGHTY.read_text())
    assert len(naughty) > 500
    for text in naughty:
        assert await is_refused(text)
        kid = SIGNED_BY.header(kid=text)
        with pytest.raises(UnknownKeyError):
            await VERIFIER.verify(SIGNED_BY.sign(kid, {}))
        if not text:
            with pytest.raises(InvalidClaimsError):
                await VERIFIER.verify(SIGNED_BY.token(sub=text))
            continue
        payload = json.dumps(SIGNED_BY.claims(sub=text, name=text), ensure_ascii=False).encode()
        claims = await VERIFIER.verify(SIGNED_BY.sign(SIGNED_BY.header(), payload))
        assert (claims.subject, claims.name) == (text, text)
