"""Every way in which others' verifiers were talked into accepting a forged token.

What became known of them, and the test of each; those that are not here are beside.

- no algorithm: test_no_signature_is_no_algorithm, test_an_empty_signature_is_refused
- the public key as an HMAC secret: test_the_public_key_is_no_hmac_secret
- an algorithm of the token's choice, or of another key's: test_another_algorithm_is_refused,
  test_the_hash_is_pinned_whatever_the_header_says, test_any_other_key_is_passed_over,
  test_a_signature_of_another_algorithm_does_not
- a key of the token's choice (jwk, jku, x5u, x5c): test_a_key_that_the_token_brings_is_never_used
- a key id that is a path or a query: test_the_key_id_is_only_ever_looked_up
- unknown critical extensions, and b64: test_an_extension_is_refused
- an ID token or a logout token for an access token: test_another_kind_of_token_is_refused
- claims that are missing or of another type: test_a_required_claim_is_required,
  test_a_claim_of_another_kind_is_refused
- another issuer's or audience's token: test_another_issuer_s_token_is_refused,
  test_another_audience_s_token_is_refused
- a leeway that is a longer lifetime: test_the_leeway_is_bounded
- two readings of one text: test_a_header_with_two_readings_is_refused,
  test_stray_bits_at_the_end_are_refused, test_another_writing_of_a_signature_is_refused
- keys that are too small, or cost too much: test_the_size_of_a_key_is_bounded,
  test_a_weak_key_s_good_signature_is_refused
- a key set elsewhere: test_a_redirect_is_not_followed
- a flood of unknown key ids: test_an_unknown_key_fetches_at_most_every_thirty_seconds,
  test_all_who_need_a_fetch_share_one
- a key set that is withheld: test_the_old_keys_outlive_an_outage_and_it_is_logged
- a token kept past its key's end: test_a_withdrawn_key_withdraws_its_tokens
- a token of any length: test_the_length_is_bounded
"""

import re
from base64 import urlsafe_b64encode
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jwtverify import (
    BadSignatureError,
    JWTVerifier,
    MalformedTokenError,
    RemoteKeys,
    UnknownKeyError,
    UnsupportedTokenError,
)
from tests.jwtverify.key_server import KeyServer
from tests.jwtverify.minting import (
    AUDIENCE,
    ISSUER,
    NOW,
    Issuer,
    base64url,
    compact,
    encode_json,
    hs256,
    rs256,
    rs512,
)


def test_each_attack_that_is_listed_has_its_test() -> None:
    assert __doc__ is not None
    listed = re.findall(r"test_\w+", __doc__)
    assert len(listed) > 20
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in listed if f"def {name}(" not in sources] == []


def unsigned(_signed: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, [], ["RS256"], 0])
@pytest.mark.parametrize("signed", [True, False])
async def test_no_signature_is_no_algorithm(
    verifier: JWTVerifier, issuer: Issuer, algorithm: object, signed: bool
) -> None:
    sign = rs256(issuer.private) if signed else unsigned
    token = compact(issuer.header(alg=algorithm), issuer.claims(), sign)
    with pytest.raises(UnsupportedTokenError):
        await verifier.verify(token)


async def test_a_header_without_an_algorithm_is_refused(
    verifier: JWTVerifier, issuer: Issuer
) -> None:
    header = {"typ": "at+jwt", "kid": issuer.kid}
    with pytest.raises(UnsupportedTokenError):
        await verifier.verify(issuer.sign(header, issuer.claims()))


async def test_an_empty_signature_is_refused(verifier: JWTVerifier, issuer: Issuer) -> None:
    with pytest.raises(BadSignatureError):
        await verifier.verify(compact(issuer.header(), issuer.claims(), unsigned))


async def test_the_public_key_is_no_hmac_secret(verifier: JWTVerifier, issuer: Issuer) -> None:
    public = issuer.private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secrets = [
        pem,
        pem.strip(),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.PKCS1),
        encode_json(issuer.jwk()),
        encode_json(issuer.jwks()),
        issuer.jwk()["n"].encode(),
        b"",
    ]
    for secret in secrets:
        for algorithm, refusal in (("HS256", UnsupportedTokenError), ("RS256", BadSignatureError)):
            token = compact(issuer.header(alg=algorithm), issuer.claims(), hs256(secret))
            with pytest.raises(refusal):
                await verifier.verify(token)


@pytest.mark.parametrize(
    "algorithm", ["RS512", "RS384", "PS256", "ES256", "EdDSA", "rs256", "RS256 ", "RS256\x00"]
)
async def test_another_algorithm_is_refused(
    verifier: JWTVerifier, issuer: Issuer, algorithm: str
) -> None:
    for sign in (rs512(issuer.private), rs256(issuer.private)):
        with pytest.raises(UnsupportedTokenError):
            await verifier.verify(compact(issuer.header(alg=algorithm), issuer.claims(), sign))


async def test_the_hash_is_pinned_whatever_the_header_says(
    verifier: JWTVerifier, issuer: Issuer
) -> None:
    with pytest.raises(BadSignatureError):
        await verifier.verify(compact(issuer.header(), issuer.claims(), rs512(issuer.private)))


@pytest.mark.parametrize(
    "kid",
    ["../../../dev/null", "/dev/null", "' OR 1=1 --", "key-1\x00", "key-1 ", "", "🔑", "k" * 4000],
)
async def test_the_key_id_is_only_ever_looked_up(
    verifier: JWTVerifier, stranger: Issuer, kid: str
) -> None:
    with pytest.raises(UnknownKeyError):
        await verifier.verify(stranger.token(header={"kid": kid}))


@pytest.mark.parametrize("kid", [None, 1, True, ["key-1"], {"key-1": "key-1"}])
async def test_a_key_id_is_a_string(verifier: JWTVerifier, issuer: Issuer, kid: object) -> None:
    with pytest.raises(UnsupportedTokenError):
        await verifier.verify(issuer.token(header={"kid": kid}))


async def test_a_header_without_a_key_id_is_refused(verifier: JWTVerifier, issuer: Issuer) -> None:
    with pytest.raises(UnsupportedTokenError):
        await verifier.verify(issuer.sign({"alg": "RS256", "typ": "at+jwt"}, issuer.claims()))


async def test_a_key_that_the_token_brings_is_never_used(
    issuer: Issuer, stranger: Issuer, server: KeyServer
) -> None:
    requested: list[str] = []

    async def on_request_start(
        _session: aiohttp.ClientSession, _context: object, start: aiohttp.TraceRequestStartParams
    ) -> None:
        requested.append(str(start.url))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(on_request_start)
    certificate = urlsafe_b64encode(b"certificate").decode()
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        keys = RemoteKeys(server.url, session)
        verifier = JWTVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys, clock=lambda: NOW)
        for kid, refusal in (("key-1", BadSignatureError), ("key-2", UnknownKeyError)):
            for brought in (
                {"jwk": stranger.jwk()},
                {"jku": server.other_url},
                {"x5u": server.other_url},
                {"x5c": [certificate], "x5t": "thumbprint", "x5t#S256": "thumbprint"},
            ):
                with pytest.raises(refusal):
                    await verifier.verify(stranger.token(header={"kid": kid, **brought}))
        await keys.aclose()
    assert requested == [server.url]
    assert server.other_fetches == 0
    assert server.fetches == 1


async def test_a_key_that_the_token_brings_does_not_matter_to_a_good_one(
    verifier: JWTVerifier, issuer: Issuer, stranger: Issuer
) -> None:
    claims = await verifier.verify(issuer.token(header={"jwk": stranger.jwk()}))
    assert claims.subject == "user-1"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": NOW + 900},
        {"crit": ["https://example/unknown"], "https://example/unknown": True},
        {"crit": ["b64"], "b64": True},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"crit": None},
        {"crit": "b64"},
        {"b64": False},
        {"b64": 0},
        {"b64": "true"},
        {"b64": None},
    ],
)
async def test_an_extension_is_refused(
    verifier: JWTVerifier, issuer: Issuer, header: dict[str, object]
) -> None:
    with pytest.raises(UnsupportedTokenError):
        await verifier.verify(issuer.token(header=header))


@pytest.mark.parametrize(
    "kind", ["JWT", "jwt", "id+jwt", "at+jwt ", "application/jwt", "logout+jwt", "", None, 1, []]
)
async def test_another_kind_of_token_is_refused(
    verifier: JWTVerifier, issuer: Issuer, kind: object
) -> None:
    with pytest.raises(UnsupportedTokenError):
        await verifier.verify(issuer.token(header={"typ": kind}))


async def test_a_header_without_a_type_is_refused(verifier: JWTVerifier, issuer: Issuer) -> None:
    with pytest.raises(UnsupportedTokenError):
        await verifier.verify(issuer.sign({"alg": "RS256", "kid": issuer.kid}, issuer.claims()))


async def test_another_key_under_the_same_id_is_refused(
    verifier: JWTVerifier, stranger: Issuer
) -> None:
    with pytest.raises(BadSignatureError):
        await verifier.verify(stranger.token())


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_one_changed_character_anywhere_is_noticed(
    verifier: JWTVerifier, issuer: Issuer, part: int
) -> None:
    parts = issuer.token().split(".")
    for index, character in enumerate(parts[part]):
        for other in {"A", "B", "-", "=", "+", "/", " ", "\n", "é"} - {character}:
            changed = parts[part][:index] + other + parts[part][index + 1 :]
            token = ".".join([*parts[:part], changed, *parts[part + 1 :]])
            with pytest.raises(
                (BadSignatureError, MalformedTokenError, UnknownKeyError, UnsupportedTokenError)
            ):
                await verifier.verify(token)


async def test_another_token_s_parts_do_not_fit(verifier: JWTVerifier, issuer: Issuer) -> None:
    header, _, signature = issuer.token().split(".")
    payload = base64url(encode_json(issuer.claims(role="admin")))
    with pytest.raises(BadSignatureError):
        await verifier.verify(f"{header}.{payload}.{signature}")


async def test_a_truncated_token_is_refused(verifier: JWTVerifier, issuer: Issuer) -> None:
    token = issuer.token()
    for end in range(len(token)):
        with pytest.raises((BadSignatureError, MalformedTokenError)):
            await verifier.verify(token[:end])


async def test_a_seen_token_s_neighbours_are_not_seen(
    verifier: JWTVerifier, issuer: Issuer
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    added = ["=", " ", "A", ".", ".A"]
    for neighbour in [token + end for end in added] + [start + token for start in added]:
        assert verifier.cached(neighbour) is None
        with pytest.raises((BadSignatureError, MalformedTokenError)):
            await verifier.verify(neighbour)


async def test_stray_bits_at_the_end_are_refused(verifier: JWTVerifier, issuer: Issuer) -> None:
    # 256 bytes of signature leave four bits of the last character unused.
    token = issuer.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for bits in range(1, 16):
        with pytest.raises(MalformedTokenError):
            await verifier.verify(token[:-1] + alphabet[alphabet.index(token[-1]) + bits])


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a.b", "a.b.c.d", "\x00.\x00.\x00", "\ud800", "é.é.é", "{}", "[" * 8000],
)
async def test_what_is_no_token_is_refused(verifier: JWTVerifier, token: str) -> None:
    with pytest.raises(MalformedTokenError) as refused:
        await verifier.verify(token)
    assert refused.value.reason == "malformed"


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","alg":"RS256","typ":"at+jwt","kid":"key-1"}',
        b'{"alg":"RS256","typ":"at+jwt","kid":"key-2","kid":"key-1"}',
        b'{"alg":"RS256","typ":"at+jwt","kid":"\\ud800"}',
        b'[{"alg":"RS256"}]',
        b'"RS256"',
        b"",
        b'{"x":' + b"[" * 5000,
    ],
)
async def test_a_header_with_two_readings_is_refused(
    verifier: JWTVerifier, issuer: Issuer, header: bytes
) -> None:
    with pytest.raises(MalformedTokenError):
        await verifier.verify(issuer.sign(header, issuer.claims()))


async def test_the_length_is_bounded(verifier: JWTVerifier, issuer: Issuer) -> None:
    def padded(characters: int) -> str:
        return issuer.token(pad="x" * characters)

    pad = next(pad for pad in range(5000, 6000) if len(padded(pad)) >= 8192)
    longest = padded(pad) if len(padded(pad)) == 8192 else padded(pad - 1)
    assert (await verifier.verify(longest)).subject == "user-1"
    with pytest.raises(MalformedTokenError, match="longer"):
        await verifier.verify(padded(pad + 1))
    assert verifier.cached("x" * 100_000) is None


async def test_another_writing_of_a_signature_is_refused(
    verifier: JWTVerifier, issuer: Issuer
) -> None:
    """RSA signs with a number, and a number can be written longer, or a multiple away."""
    sign = rs256(issuer.private)
    modulus = issuer.private.public_key().public_numbers().n

    def shifted(signed: bytes) -> bytes:
        number = int.from_bytes(sign(signed)) + modulus
        return number.to_bytes((number.bit_length() + 7) // 8)

    for other in (
        shifted,
        lambda signed: b"\0" + sign(signed),
        lambda signed: sign(signed) + b"\0",
        lambda signed: sign(signed)[::-1],
        lambda _: bytes(256),
        lambda _: b"\0" * 255 + b"\1",
        lambda _: b"\xff" * 256,
        lambda _: (modulus - 1).to_bytes(256),
        lambda _: modulus.to_bytes(256),
    ):
        with pytest.raises(BadSignatureError):
            await verifier.verify(compact(issuer.header(), issuer.claims(), other))
