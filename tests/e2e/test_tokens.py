"""Tokens that are not quite: refused by every service, and none makes anybody call anywhere."""

import asyncio
import hashlib
import hmac
import json
import sqlite3
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)

from servicekit.settings import DEFAULT_AUDIENCE, DEVELOPMENT_ISSUER
from tests.e2e.client import Client
from tests.e2e.clinic import today
from tests.e2e.conftest import People
from tests.e2e.running import RunningSuite
from users_service.service.keys import Sealing


@dataclass(frozen=True)
class SigningKey:
    """The very key that the suite signs with, and its id."""

    kid: str
    private: rsa.RSAPrivateKey

    @property
    def public_pem(self) -> bytes:
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def key(suite: RunningSuite) -> SigningKey:
    """Unsealed as only its owner can, so that each token has just one thing wrong with it."""
    secret = (suite.run.secrets / "sealing-key").read_text().strip()
    with closing(sqlite3.connect(suite.run.users_database)) as database:
        query = "SELECT key_id, sealed FROM signing_keys ORDER BY generation DESC"
        kid, sealed = database.execute(query).fetchone()
    sealing = Sealing(urlsafe_b64decode(secret + "=" * (-len(secret) % 4)))
    private = load_der_private_key(sealing.open(sealed, kid), password=None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return SigningKey(kid, private)


@dataclass
class Listener:
    """A server of an attacker's, which counts who comes."""

    url: str
    connections: int = 0


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counted.connections += 1
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    counted = Listener(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys.json")
    async with server:
        yield counted


def encoded(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def bad_tokens(
    key: SigningKey, assertion_key: str, people: People, url: str
) -> Iterator[tuple[str, str]]:
    """Each with what is wrong with it."""
    now = int(time.time())
    good: dict[str, Any] = {
        "iss": DEVELOPMENT_ISSUER,
        "aud": DEFAULT_AUDIENCE,
        "sub": people.admin.id,
        "iat": now,
        "exp": now + 900,
        "jti": "e2e",
        "role": "admin",
        "name": "Mallory",
    }
    header = {"typ": "at+jwt", "kid": key.kid}

    def signed(claims: dict[str, Any] | None = None, **members: Any) -> str:
        headers = {**header, **members}
        return jwt.encode(claims or good, key.private, algorithm="RS256", headers=headers)

    # What follows proves something only if this one is taken.
    yield "nothing", signed()
    yield "expired", signed({**good, "iat": now - 2000, "exp": now - 1000})
    yield "another issuer", signed({**good, "iss": "https://issuer.example"})
    yield "an issuer with a slash more", signed({**good, "iss": DEVELOPMENT_ISSUER + "/"})
    yield "another audience", signed({**good, "aud": "another-platform"})
    yield "not yet", signed({**good, "nbf": now + 3600})
    yield "of the future", signed({**good, "iat": now + 3600, "exp": now + 7200})
    for claim in ("iss", "aud", "sub", "iat", "exp", "jti"):
        yield f"no {claim}", signed({name: good[name] for name in good if name != claim})
    yield "an end that is text", signed({**good, "exp": str(now + 900)})
    yield "an identity token's type", signed(typ="JWT")
    yield "another key's id", signed(kid="unknown")
    yield "an extension that must be understood", signed(crit=["x"], x=1)

    whole = signed()
    head, payload, signature = whole.split(".")
    other = {**good, "sub": people.doctor.id}
    yield "altered claims", f"{head}.{encoded(other)}.{signature}"
    yield "an altered signature", f"{head}.{payload}.{encoded(bytes(256))}"
    yield "no signature", f"{head}.{payload}."
    yield "two parts", f"{head}.{payload}"
    for alg in ("none", "None", "nOnE", "NONE"):
        yield f"alg {alg}", f"{encoded({**header, 'alg': alg})}.{payload}."
        yield f"alg {alg}, signed", f"{encoded({**header, 'alg': alg})}.{payload}.{signature}"
    for name, secret in {
        "PEM": key.public_pem,
        "PEM, stripped": key.public_pem.strip(),
        "nothing": b"",
    }.items():
        first = f"{encoded({**header, 'alg': 'HS256'})}.{payload}"
        mac = hmac.digest(secret, first.encode(), hashlib.sha256)
        yield f"HS256 by the public key as {name}", f"{first}.{encoded(mac)}"

    mallory = rsa.generate_private_key(65537, 2048)
    numbers = mallory.public_key().public_numbers()
    jwk = {
        "kty": "RSA",
        "n": encoded(numbers.n.to_bytes(256, "big")),
        "e": encoded(numbers.e.to_bytes(3, "big")),
    }
    for kid in (key.kid, "mallory"):
        for members in (
            {"jku": url},
            {"x5u": url},
            {"jwk": jwk},
            {"jku": url, "x5u": url, "jwk": jwk, "x5c": [encoded(b"certificate")]},
            {},
        ):
            headers = {**header, "kid": kid, **members}
            forged = jwt.encode(good, mallory, algorithm="RS256", headers=headers)
            yield f"another's key as {kid} with {sorted(members)}", forged
        forged = jwt.encode(good, mallory, algorithm="RS256", headers={**header, "kid": url})
        yield "a key's id that is an address", forged
    for alg in ("RS384", "RS512", "PS256"):
        yield alg, jwt.encode(good, key.private, algorithm=alg, headers=header)
    curve = ec.generate_private_key(ec.SECP256R1())
    yield "ES256", jwt.encode(good, curve, algorithm="ES256", headers=header)
    # Signed by a key that is trusted in another place than this.
    claims = {**good, "iss": "appointments", "sub": "appointments", "aud": DEVELOPMENT_ISSUER}
    yield "a service's assertion", jwt.encode(claims, assertion_key, algorithm="RS256")


async def test_only_the_good_one_is_taken(
    client: Client, people: People, key: SigningKey, suite: RunningSuite, listener: Listener
) -> None:
    targets = [
        ("/v1/users/me", None),
        ("/v1/files?appointment_id=x", None),
        (f"/v1/schedules/{people.doctor.id}/slots?from={today()}&to={today()}", None),
        *(
            (f"/v1/appointments?doctor_id={people.doctor.id}", url)
            for url in suite.state["instances"]["appointments"]
        ),
    ]
    refused = 0
    assertion_key = (suite.run.secrets / "appointments-private.pem").read_text()
    for wrong, token in bad_tokens(key, assertion_key, people, listener.url):
        for target, base in targets:
            answer = await client.call("GET", target, token=token, base=base)
            if wrong == "nothing":
                assert answer.status in (200, 404), answer
                continue
            assert (answer.status, answer.code) == (401, "invalid_token"), (wrong, answer)
            refused += 1
    assert refused > 200
    assert listener.connections == 0


async def test_a_service_token_is_no_persons(client: Client, people: People, clinic: Any) -> None:
    token = await clinic.service_token("appointments")
    for target in ("/v1/users/me", "/v1/users", "/v1/appointments", "/v1/files?appointment_id=x"):
        await client.refused(403, "forbidden", "GET", target, token=token)
    contact = await client.ok("GET", f"/v1/users/{people.patient.id}/contact", token=token)
    assert contact["email"] == people.patient.email
    # Of files, only names are asked.
    narrow = await clinic.service_token("files")
    target = f"/v1/users/{people.patient.id}/contact"
    await client.refused(403, "forbidden", "GET", target, token=narrow)
    await client.ok("GET", f"/v1/users/{people.patient.id}/name", token=narrow)
    await client.refused(403, "forbidden", "GET", target, token=people.admin.token)
