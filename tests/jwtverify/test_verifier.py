"""What a good token gives, and when it stops being good."""

import json
import math
from typing import Any

import jwt
import pytest

from jwtverify import (
    ExpiredTokenError,
    InvalidClaimsError,
    JWTVerifier,
    MalformedTokenError,
    PrematureTokenError,
    StaticKeys,
    UnknownKeyError,
    WrongAudienceError,
    WrongIssuerError,
)
from tests.jwtverify.minting import AUDIENCE, ISSUER, NOW, Clock, Issuer


async def test_a_good_token_gives_its_claims(verifier: JWTVerifier, issuer: Issuer) -> None:
    claims = await verifier.verify(issuer.token(scope="contact:read names:read"))
    assert claims.subject == "user-1"
    assert claims.role == "patient"
    assert claims.name == "Ada Lovelace"
    assert claims.scope == {"contact:read", "names:read"}
    assert claims.token_id == "token-1"
    assert claims.issued_at == NOW
    assert claims.expires_at == NOW + 900
    assert dict(claims.raw) == issuer.claims(scope="contact:read names:read")


async def test_another_library_s_token_is_understood(verifier: JWTVerifier, issuer: Issuer) -> None:
    headers = {"typ": "at+jwt", "kid": issuer.kid}
    token = jwt.encode(issuer.claims(), issuer.private, algorithm="RS256", headers=headers)
    assert (await verifier.verify(token)).subject == "user-1"


async def test_role_name_and_scope_may_be_absent(verifier: JWTVerifier, issuer: Issuer) -> None:
    payload = issuer.claims()
    del payload["role"], payload["name"]
    claims = await verifier.verify(issuer.sign(issuer.header(), payload))
    assert (claims.role, claims.name, claims.scope) == ("", None, frozenset())


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
async def test_the_type_is_compared_without_regard_to_case(
    verifier: JWTVerifier, issuer: Issuer, kind: str
) -> None:
    claims = await verifier.verify(issuer.token(header={"typ": kind}))
    assert claims.subject == "user-1"


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
async def test_the_audience_may_be_one_of_several(
    verifier: JWTVerifier, issuer: Issuer, audience: object
) -> None:
    claims = await verifier.verify(issuer.token(aud=audience))
    assert claims.subject == "user-1"


@pytest.mark.parametrize("audience", ["other", "", [], ["other"], [AUDIENCE + "s"], AUDIENCE[:-1]])
async def test_another_audience_s_token_is_refused(
    verifier: JWTVerifier, issuer: Issuer, audience: object
) -> None:
    with pytest.raises(WrongAudienceError):
        await verifier.verify(issuer.token(aud=audience))


@pytest.mark.parametrize("name", ["", ISSUER + "/", ISSUER.upper(), "https://other.example"])
async def test_another_issuer_s_token_is_refused(
    verifier: JWTVerifier, issuer: Issuer, name: str
) -> None:
    with pytest.raises(WrongIssuerError):
        await verifier.verify(issuer.token(iss=name))


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "jti", "iat", "exp"])
async def test_a_required_claim_is_required(
    verifier: JWTVerifier, issuer: Issuer, claim: str
) -> None:
    with pytest.raises(InvalidClaimsError, match=claim):
        await verifier.verify(issuer.token_without(claim))


TEXTS = ["iss", "sub", "jti", "role", "name", "scope"]
NOT_TEXTS: list[object] = [None, True, 7, 1.5, ["x"], {"x": "y"}]
DATES = ["iat", "exp", "nbf"]
NOT_DATES: list[object] = [None, True, "1800000000", [NOW], {}, -1, 10**400, 253_402_300_800]
NOT_AUDIENCES: list[object] = [None, True, 7, {}, [7], [AUDIENCE, None], [[AUDIENCE]]]


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        *[(claim, value) for claim in TEXTS for value in NOT_TEXTS],
        *[(claim, value) for claim in DATES for value in NOT_DATES],
        *[("aud", value) for value in NOT_AUDIENCES],
        ("sub", ""),
        ("jti", ""),
    ],
)
async def test_a_claim_of_another_kind_is_refused(
    verifier: JWTVerifier, issuer: Issuer, claim: str, value: object
) -> None:
    with pytest.raises(InvalidClaimsError, match=claim):
        await verifier.verify(issuer.sign(issuer.header(), issuer.claims(**{claim: value})))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"{} {}",
        b"\xff",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"exp": NaN}',
        b'{"exp": Infinity}',
        b'{"exp": -Infinity}',
        b'{"exp": 1e999}',
        b'{"exp": 1' + b"0" * 5000 + b"}",
        b'{"sub": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"sub": "a", "sub": "b"}',
        b'{"deep": {"x": 1, "x": 2}}',
        b'{"deep": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"deep": ' + b"[" * 900 + b"]" * 900 + b"}",
    ],
)
async def test_a_signed_payload_that_is_no_object_is_refused(
    verifier: JWTVerifier, issuer: Issuer, payload: bytes
) -> None:
    with pytest.raises(MalformedTokenError):
        await verifier.verify(issuer.sign(issuer.header(), payload))


async def test_a_pair_of_surrogates_is_one_character(verifier: JWTVerifier, issuer: Issuer) -> None:
    payload = json.dumps(issuer.claims(name="Ada 🩺")).encode()
    assert b"\\ud83e\\ude7a" in payload
    assert (await verifier.verify(issuer.sign(issuer.header(), payload))).name == "Ada 🩺"


async def test_the_raw_claims_cannot_be_changed(verifier: JWTVerifier, issuer: Issuer) -> None:
    claims = await verifier.verify(issuer.token(more={"list": [1, {"x": 2.5}], "none": None}))
    more = claims.raw["more"]
    assert more["list"][0] == 1
    assert more["list"][1]["x"] == 2.5
    shared: list[Any] = [claims.raw, more, more["list"], more["list"][1]]
    for container in shared:
        with pytest.raises(TypeError):
            container[0] = "changed"


async def test_personal_data_stays_out_of_the_representation(
    verifier: JWTVerifier, issuer: Issuer
) -> None:
    shown = repr(await verifier.verify(issuer.token()))
    assert "user-1" in shown
    assert "Ada" not in shown


@pytest.mark.parametrize("leeway", [0, 30, 60])
async def test_a_token_is_good_until_the_leeway_after_its_end(
    issuer: Issuer, clock: Clock, leeway: int
) -> None:
    verifier = JWTVerifier(
        issuer=ISSUER,
        audience=AUDIENCE,
        keys=StaticKeys(issuer.jwks()),
        leeway=leeway,
        clock=clock,
    )
    clock.now = NOW + 899.999 + leeway
    assert (await verifier.verify(issuer.token())).subject == "user-1"
    clock.now = NOW + 900 + leeway
    with pytest.raises(ExpiredTokenError):
        await verifier.verify(issuer.token())
    with pytest.raises(ExpiredTokenError):
        await verifier.verify(issuer.token(jti="never seen before"))


@pytest.mark.parametrize("claim", ["iat", "nbf"])
async def test_a_token_is_good_from_the_leeway_before_its_start(
    verifier: JWTVerifier, issuer: Issuer, clock: Clock, claim: str
) -> None:
    token = issuer.sign(issuer.header(), issuer.claims(**{claim: NOW + 100}))
    clock.now = NOW + 69.999
    with pytest.raises(PrematureTokenError):
        await verifier.verify(token)
    clock.now = NOW + 70
    assert (await verifier.verify(token)).subject == "user-1"


async def test_an_earlier_nbf_does_not_excuse_a_later_iat(
    verifier: JWTVerifier, issuer: Issuer
) -> None:
    with pytest.raises(PrematureTokenError):
        await verifier.verify(issuer.token(iat=NOW + 100, nbf=NOW))


async def test_fractions_of_seconds_count(
    verifier: JWTVerifier, issuer: Issuer, clock: Clock
) -> None:
    token = issuer.token(iat=NOW + 0.25, exp=NOW + 10.5)
    claims = await verifier.verify(token)
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + 10)
    clock.now = NOW + 40.25
    assert await verifier.verify(token) == claims
    clock.now = NOW + 40.5
    with pytest.raises(ExpiredTokenError):
        await verifier.verify(token)


async def test_a_key_that_is_not_in_the_set_is_refused(
    verifier: JWTVerifier, issuer: Issuer
) -> None:
    with pytest.raises(UnknownKeyError) as refused:
        await verifier.verify(issuer.token(header={"kid": "key-2"}))
    assert refused.value.reason == "unknown_key"


@pytest.mark.parametrize("leeway", [-1, 60.001, math.nan, math.inf])
def test_the_leeway_is_bounded(issuer: Issuer, leeway: float) -> None:
    with pytest.raises(ValueError, match="leeway"):
        JWTVerifier(issuer=ISSUER, audience=AUDIENCE, keys=StaticKeys(issuer.jwks()), leeway=leeway)


@pytest.mark.parametrize(("name", "audience"), [("", AUDIENCE), (ISSUER, "")])
def test_issuer_and_audience_are_named(issuer: Issuer, name: str, audience: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        JWTVerifier(issuer=name, audience=audience, keys=StaticKeys(issuer.jwks()))
