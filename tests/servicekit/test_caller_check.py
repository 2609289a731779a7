"""What a service may ask of a caller besides a good token."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from jwtverify import JWTVerifier, StaticKeys
from servicekit.app import VERIFIER, CallerCheck, build_app
from servicekit.auth import Caller, people
from servicekit.operations import Call, Operation, answer
from servicekit.problems import INVALID_TOKEN
from servicekit.testing import TokenMint
from servicekit.wire import NoQuery, Nothing, Wire


class GoneError(Exception):
    """The caller is no longer there."""


NOW_PATIENTS = frozenset({"demoted"})


class Who(Wire):
    role: str


async def get_secret(call: Call[Nothing, NoQuery]) -> web.Response:
    return answer(Who(role=call.caller.role))


async def as_they_are_now(request: web.Request, caller: Caller) -> Caller:
    assert request.path == "/v1/secret"
    if caller.id == "gone":
        raise GoneError("closed")
    if caller.id in NOW_PATIENTS:
        return Caller(caller.id, "patient", caller.name, caller.scope, caller.token)
    return caller


@pytest.fixture
def mint() -> TokenMint:
    return TokenMint()


async def client_of(
    aiohttp_client: AiohttpClient, mint: TokenMint, check: CallerCheck | None
) -> TestClient[web.Request, web.Application]:
    async def verifier(app: web.Application) -> AsyncIterator[None]:
        keys = StaticKeys(mint.jwks)
        app[VERIFIER] = JWTVerifier(issuer=mint.issuer, audience=mint.audience, keys=keys)
        yield

    operation = Operation(
        method="GET",
        path="/v1/secret",
        handler=get_secret,
        access=people("admin"),
        summary="For admins",
        answers={200: Who},
    )
    app = build_app(
        service="test",
        version="1",
        operations=[operation],
        problems={GoneError: INVALID_TOKEN},
        contexts=[verifier],
        check_caller=check,
    )
    return await aiohttp_client(app)


@pytest.mark.parametrize(
    ("check", "caller", "status"),
    [
        (None, "demoted", 200),
        (as_they_are_now, "demoted", 403),
        (as_they_are_now, "someone", 200),
    ],
)
async def test_the_role_that_counts_is_the_one_the_check_gives_back(
    aiohttp_client: AiohttpClient,
    mint: TokenMint,
    check: CallerCheck | None,
    caller: str,
    status: int,
) -> None:
    client = await client_of(aiohttp_client, mint, check)
    token = mint.token(caller, "admin")
    response = await client.get("/v1/secret", headers={"Authorization": f"Bearer {token}"})
    assert response.status == status


async def test_whom_the_check_refuses_is_told_as_one_with_a_bad_token(
    aiohttp_client: AiohttpClient, mint: TokenMint
) -> None:
    client = await client_of(aiohttp_client, mint, as_they_are_now)
    refusals = [
        await client.get("/v1/secret", headers={"Authorization": f"Bearer {token}"})
        for token in (mint.token("gone", "admin"), "nonsense")
    ]
    for response in refusals:
        assert response.status == 401
        assert (await response.json())["code"] == "invalid_token"
        assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
