"""Other passwords, and registrations that are confirmed by mail."""

from aiohttp import web

from servicekit.operations import Call, no_content
from servicekit.wire import NoQuery
from users_service import schemas
from users_service.handlers.common import (
    ACCOUNT,
    client_address,
    created,
    in_line,
    origin_of,
    use_cases,
)


@in_line
async def change_password(call: Call[schemas.PasswordChange, NoQuery]) -> web.Response:
    """POST /v1/auth/password."""
    body, account = call.body, call.request[ACCOUNT]
    await use_cases(call).password_changes.change(
        account,
        body.current_password,
        body.new_password,
        client_address(call.request),
        origin_of(call),
    )
    return no_content()


async def request_reset(call: Call[schemas.PasswordReset, NoQuery]) -> web.Response:
    """POST /v1/auth/password-reset."""
    changes, client = use_cases(call).password_changes, client_address(call.request)
    await changes.request_reset(call.body.email, client, origin_of(call))
    return web.Response(status=202)


@in_line
async def confirm_reset(call: Call[schemas.NewPasswordByToken, NoQuery]) -> web.Response:
    """POST /v1/auth/password-reset/confirm."""
    await use_cases(call).password_changes.reset(
        call.body.token, call.body.new_password, origin_of(call)
    )
    return no_content()


@in_line
async def confirm_registration(call: Call[schemas.RegistrationToken, NoQuery]) -> web.Response:
    """POST /v1/auth/register/confirm."""
    body = call.body
    user = await use_cases(call).registrations.confirm(body.token, body.password, origin_of(call))
    return created(user)
