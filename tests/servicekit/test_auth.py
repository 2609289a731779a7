"""Who may call: by the rule of each operation."""

from typing import Any

import pytest
from aiohttp import web

from jwtverify import JWTVerifier, KeysUnavailable
from jwtverify.keys import PublicKey
from servicekit.auth import people, verify
from servicekit.operations import Operation
from servicekit.problems import KEYS_UNAVAILABLE, ProblemError
from servicekit.testing import TokenMint
from tests.servicekit.conftest import Kit


async def outcome(kit: Kit, method: str, path: str, headers: Any) -> tuple[int, str | None]:
    response = await kit.client.request(method, path, headers=headers)
    document = await response.json(content_type=None)
    if response.status == 401:
        assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    return response.status, (document or {}).get("code")


async def test_roles(kit: Kit) -> None:
    async def touch(role: str, **claims: Any) -> tuple[int, str | None]:
        headers = kit.auth("ann", role, **claims)
        return await outcome(kit, "POST", "/v1/things/a/touch", headers)

    assert await touch("admin") == (200, None)
    assert await touch("doctor") == (200, None)
    assert await touch("patient") == (403, "forbidden")
    assert await touch("service", scope="contact:read") == (403, "forbidden")
    assert await touch("") == (403, "forbidden")
    assert await touch("Admin") == (403, "forbidden")


async def test_scopes_are_for_services_alone(kit: Kit) -> None:
    async def contact(role: str, scope: str) -> tuple[int, str | None]:
        headers = kit.auth("svc", role, scope=scope)
        return await outcome(kit, "GET", "/v1/contacts/a", headers)

    assert await contact("service", "erase contact:read") == (200, None)
    assert await contact("service", "erase") == (403, "forbidden")
    assert await contact("service", "contact:readx") == (403, "forbidden")
    assert await contact("admin", "contact:read") == (403, "forbidden")


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Bearer nonsense", "token"]
)
async def test_what_is_no_bearer_token(kit: Kit, value: str) -> None:
    headers = {"Authorization": value}
    assert await outcome(kit, "DELETE", "/v1/things/a", headers) == (401, "invalid_token")
    # Where no token is needed, a bad one is still refused, but where none is looked at.
    assert await outcome(kit, "GET", "/v1/things/a", headers) == (401, "invalid_token")
    assert (await kit.client.post("/v1/notes", headers=headers)).status == 200


async def test_no_token_or_two(kit: Kit) -> None:
    assert await outcome(kit, "DELETE", "/v1/things/a", {}) == (401, "invalid_token")
    assert await outcome(kit, "GET", "/v1/things/a", {}) == (200, None)
    token = kit.auth("ann", "admin")["Authorization"]
    twice = [("Authorization", token), ("Authorization", token)]
    assert await outcome(kit, "DELETE", "/v1/things/a", twice) == (401, "invalid_token")
    lower = {"Authorization": token.replace("Bearer", "bearer")}
    assert await outcome(kit, "POST", "/v1/things/a/touch", lower) == (200, None)


class NoKeys:
    """Where no key can be had."""

    async def key(self, _kid: str) -> PublicKey | None:
        raise KeysUnavailable("away")

    def held(self, _kid: str) -> PublicKey | None:
        return None


async def test_without_keys_nobody_is_told_that_their_token_is_bad(mint: TokenMint) -> None:
    verifier = JWTVerifier(issuer=mint.issuer, audience=mint.audience, keys=NoKeys())
    with pytest.raises(ProblemError) as refused:
        await verify(mint.token("ann", "admin"), verifier)
    assert refused.value.problem is KEYS_UNAVAILABLE
    assert refused.value.headers == {"Retry-After": "1"}


def test_a_rule_names_roles_that_exist() -> None:
    with pytest.raises(ValueError, match="nurse"):
        people("admin", "nurse")


def test_an_operation_without_a_rule_cannot_be_made() -> None:
    async def handler(_call: Any) -> web.Response:
        return web.Response()

    with pytest.raises(TypeError, match="access"):
        Operation(method="GET", path="/", handler=handler, summary="", answers={})  # type: ignore[call-arg]
