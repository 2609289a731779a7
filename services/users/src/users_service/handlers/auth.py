"""Registering, signing in and out, services' tokens, and the published keys."""

from aiohttp import web

from servicekit.operations import Call, answer, no_content
from servicekit.wire import NoQuery, Nothing
from users_service import schemas
from users_service.domain.sessions import client_name
from users_service.handlers.common import (
    client_address,
    created,
    in_line,
    new_account,
    origin_of,
    use_cases,
)
from users_service.service.keys import jwk
from users_service.service.sessions import TokenPair

_KEYS_KEPT = {"Cache-Control": "public, max-age=300"}


@in_line
async def register(call: Call[schemas.Registration, NoQuery]) -> web.Response:
    """POST /v1/auth/register."""
    new = new_account(call.body)
    if use_cases(call).registrations.required:
        await use_cases(call).registrations.register(new, client_address(call.request))
        return web.Response(status=202)
    return created(await use_cases(call).accounts.create(new, origin_of(call)))


@in_line
async def login(call: Call[schemas.Login, NoQuery]) -> web.Response:
    """POST /v1/auth/login."""
    body = call.body
    pair = await use_cases(call).sessions.login(
        body.email,
        body.password,
        client_address(call.request),
        origin_of(call),
        otp=body.otp,
        client=client_name(call.request.headers.get("User-Agent", "")),
    )
    return _tokens(pair)


async def refresh(call: Call[schemas.RefreshToken, NoQuery]) -> web.Response:
    """POST /v1/auth/refresh."""
    sessions = use_cases(call).sessions
    return _tokens(await sessions.refresh(call.body.refresh_token, origin_of(call)))


async def logout(call: Call[schemas.RefreshToken, NoQuery]) -> web.Response:
    """POST /v1/auth/logout."""
    await use_cases(call).sessions.logout(call.body.refresh_token, origin_of(call))
    return no_content()


async def issue_service_token(call: Call[schemas.Assertion, NoQuery]) -> web.Response:
    """POST /v1/auth/service-token."""
    token = await use_cases(call).clients.token(call.body.client_assertion, origin_of(call))
    body = schemas.ServiceToken(access_token=token.text, expires_in=token.expires_in)
    return answer(body)


async def get_keys(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /.well-known/jwks.json."""
    keys = await use_cases(call).keys.published()
    return answer(schemas.JWKS(keys=[schemas.JWK(**jwk(key)) for key in keys]), headers=_KEYS_KEPT)


def _tokens(pair: TokenPair) -> web.Response:
    body = schemas.TokenPair(
        access_token=pair.access.text,
        expires_in=pair.access.expires_in,
        refresh_token=pair.refresh,
    )
    return answer(body)
