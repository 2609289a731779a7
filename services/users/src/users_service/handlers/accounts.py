"""Accounts: the caller's own, and everybody's for admins."""

from typing import Any

from aiohttp import web

from servicekit.audit import audit_read
from servicekit.operations import Call, answer
from servicekit.wire import NoQuery, Nothing
from users_service import schemas
from users_service.domain import users as domain
from users_service.domain.audit import Action
from users_service.handlers.common import (
    ACCOUNT,
    after_of,
    created,
    in_line,
    new_account,
    of_user,
    origin_of,
    page_of,
    use_cases,
    user_answer,
)
from users_service.store import UserFilter


@in_line
async def create_user(call: Call[schemas.NewUser, NoQuery]) -> web.Response:
    """POST /v1/users."""
    new = new_account(call.body, role=call.body.role)
    return created(await use_cases(call).accounts.create(new, origin_of(call)))


async def get_own_account(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/users/me."""
    return user_answer(call.request[ACCOUNT])


async def change_own_account(call: Call[schemas.OwnPatch, NoQuery]) -> web.Response:
    """PATCH /v1/users/me."""
    return await _change(call, call.caller.id)


async def list_users(call: Call[Nothing, schemas.UsersQuery]) -> web.Response:
    """GET /v1/users."""
    query = call.query
    name = f"users:{query.role}:{query.status}:{query.q}"
    after = after_of(name, query.cursor)
    chosen = UserFilter(query.role, query.status, query.q)
    origin = origin_of(call)
    found = await use_cases(call).accounts.list(chosen, after, query.limit + 1, origin)
    page, cursor = page_of(name, found, query.limit)
    audit_read(call, [user.id for user in page])  # the entry tells of the list, this who was in it
    return answer(schemas.UserPage(items=[of_user(user) for user in page], next_cursor=cursor))


async def get_user(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/users/{id}."""
    viewer = call.request[ACCOUNT]
    user = await use_cases(call).accounts.seen_by(viewer, call.path["id"], origin_of(call))
    if domain.may_see(viewer, user):
        return user_answer(user)
    return answer(schemas.NamedUser(id=user.id, full_name=user.full_name))


async def change_user(call: Call[schemas.UserPatch, NoQuery]) -> web.Response:
    """PATCH /v1/users/{id}."""
    return await _change(call, call.path["id"])


async def get_contact(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/users/{id}/contact."""
    user = await use_cases(call).accounts.user(
        call.path["id"], Action.CONTACT_READ, origin_of(call)
    )
    return answer(
        schemas.Contact(
            email=user.email, full_name=user.full_name, timezone=user.timezone, phone=user.phone
        )
    )


async def get_name(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/users/{id}/name."""
    user = await use_cases(call).accounts.user(call.path["id"], Action.NAME_READ, origin_of(call))
    return answer(
        schemas.Identity(id=user.id, full_name=user.full_name, role=user.role, status=user.status)
    )


async def _change(call: Call[Any, Any], user_id: str) -> web.Response:
    """Changes the fields that are in the body, also those that it sets to null."""
    changes = {name: getattr(call.body, name) for name in call.body.model_fields_set}
    actor, accounts = call.request[ACCOUNT], use_cases(call).accounts
    changed = await accounts.change(actor, user_id, changes, call.if_match, origin_of(call))
    return user_answer(changed)
