"""Second factors: one's own, another's for admins, and who must have one."""

from aiohttp import web

from servicekit.operations import Call, answer, no_content
from servicekit.wire import NoQuery, Nothing
from users_service import schemas
from users_service.domain.users import Role
from users_service.handlers.common import ACCOUNT, client_address, in_line, origin_of, use_cases


async def get_status(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/auth/second-factor."""
    status = await use_cases(call).factors.status(call.request[ACCOUNT])
    return answer(
        schemas.FactorStatus(
            enabled=status.confirmed_at is not None,
            confirmed_at=status.confirmed_at,
            recovery_codes_left=status.recovery_codes_left,
            required=status.required,
        )
    )


@in_line
async def begin(call: Call[schemas.PasswordAgain, NoQuery]) -> web.Response:
    """POST /v1/auth/second-factor."""
    new = await use_cases(call).factors.begin(
        call.request[ACCOUNT],
        call.body.password,
        client_address(call.request),
        origin_of(call),
    )
    return answer(schemas.NewFactor(secret=new.secret, uri=new.uri))


async def confirm(call: Call[schemas.FactorCode, NoQuery]) -> web.Response:
    """POST /v1/auth/second-factor/confirm."""
    account, session = call.request[ACCOUNT], call.caller.session
    codes = await use_cases(call).factors.confirm(account, call.body.code, session, origin_of(call))
    return _codes(codes)


async def renew_codes(call: Call[schemas.FactorCode, NoQuery]) -> web.Response:
    """POST /v1/auth/second-factor/recovery-codes."""
    account = call.request[ACCOUNT]
    return _codes(
        await use_cases(call).factors.renew_codes(account, call.body.code, origin_of(call))
    )


@in_line
async def remove(call: Call[schemas.PasswordAndCode, NoQuery]) -> web.Response:
    """POST /v1/auth/second-factor/remove."""
    body, address = call.body, client_address(call.request)
    account = call.request[ACCOUNT]
    await use_cases(call).factors.remove(
        account, body.password, body.code, address, origin_of(call)
    )
    return no_content()


async def remove_of(call: Call[Nothing, NoQuery]) -> web.Response:
    """DELETE /v1/users/{id}/second-factor."""
    await use_cases(call).factors.remove_of(call.request[ACCOUNT], call.path["id"], origin_of(call))
    return no_content()


async def get_policy(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/auth/second-factor/policy."""
    return _policy(await use_cases(call).factors.required_of())


async def put_policy(call: Call[schemas.FactorPolicy, NoQuery]) -> web.Response:
    """PUT /v1/auth/second-factor/policy."""
    roles: frozenset[Role] = frozenset(call.body.roles)
    await use_cases(call).factors.require_of(roles, origin_of(call))
    return _policy(roles)


def _codes(codes: list[str]) -> web.Response:
    return answer(schemas.RecoveryCodes(recovery_codes=codes))


def _policy(roles: frozenset[Role]) -> web.Response:
    return answer(schemas.FactorPolicy.model_validate({"roles": sorted(roles)}))
