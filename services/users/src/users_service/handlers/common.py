"""What handlers share: who calls, where from, pages, and how an account is shown."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from ipaddress import ip_address
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from servicekit.auth import Caller
from servicekit.context import TRACE
from servicekit.operations import Call, answer, etag
from servicekit.paging import decode_cursor, encode_cursor
from servicekit.problems import BAD_CURSOR, ProblemError
from servicekit.wire import is_id
from users_service import schemas
from users_service.domain import users as domain
from users_service.domain.audit import Origin
from users_service.domain.second_factors import ENROLLING
from users_service.service import UseCases
from users_service.service.accounts import NewAccount

USE_CASES = web.AppKey("use_cases", UseCases)
ACCOUNT = web.RequestKey("account", domain.User)

B = TypeVar("B", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)


async def load_account(request: web.Request, caller: Caller) -> Caller:
    """Who calls as the database has them: a token may be older than the last change of its account.

    The one statement that this takes is also what `GET /v1/users/me` answers with.

    Raises:
        InvalidAccountError: the account is disabled or closed.
    """
    if caller.role == "service":
        return caller
    # A token of one who must set up a second factor stays one, whatever the account's role is.
    account = await request.app[USE_CASES].accounts.active(caller.id)
    request[ACCOUNT] = account
    if caller.role in (account.role.value, ENROLLING):
        return caller
    # A role that was given since may be one that takes a second factor.
    must_enrol = await request.app[USE_CASES].factors.must_enrol(account)
    return replace(caller, role=ENROLLING if must_enrol else account.role.value)


def client_address(request: web.Request) -> str:
    """The address that a request came from, in one way of writing it.

    The rightmost entry of `X-Forwarded-For` is the load balancer's, what stands before it anyone
    can have written. The load balancer may be set up to add the port.
    """
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
    entry = forwarded.rpartition(",")[2].strip()
    for text in (entry, entry.rpartition(":")[0].strip("[]"), request.remote or ""):
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            continue
        return str(getattr(address, "ipv4_mapped", None) or address)
    return "unknown"


def origin_of(call: Call[Any, Any]) -> Origin:
    """Who asks and from where, for the audit log."""
    request, caller = call.request, call.caller_or_none
    return Origin(
        actor_id=caller.id if caller is not None else None,
        actor_role=caller.role if caller is not None else None,
        address=client_address(request),
        request_id=request[TRACE].request_id,
    )


def use_cases(call: Call[Any, Any]) -> UseCases:
    """The use cases of the app that the request is for."""
    return call.request.app[USE_CASES]


def in_line(
    handler: Callable[[Call[B, Q]], Awaitable[web.Response]],
) -> Callable[[Call[B, Q]], Awaitable[web.Response]]:
    """The handler of an operation that has a password hashed: its requests wait for their turn."""

    @wraps(handler)
    async def in_its_turn(call: Call[B, Q]) -> web.Response:
        async with use_cases(call).line.place():
            return await handler(call)

    return in_its_turn


def new_account(body: schemas.Registration, role: domain.Role = domain.Role.PATIENT) -> NewAccount:
    """What is said of an account that is to be."""
    return NewAccount(
        email=body.email,
        password=body.password,
        full_name=body.full_name,
        role=role,
        timezone=body.timezone,
        phone=body.phone,
        birth_date=body.birth_date,
    )


def after_of(name: str, cursor: str | None) -> str:
    """The id behind which a page begins. Raises ProblemError for what no list gives out."""
    position = decode_cursor(name, cursor)
    if position is None:
        return ""
    if not isinstance(position, str) or not is_id(position):
        raise ProblemError(BAD_CURSOR)
    return position


def page_of(name: str, found: list[Any], limit: int) -> tuple[list[Any], str | None]:
    """One page of what was found, and the cursor to the next if there was one more than asked."""
    page = found[:limit]
    return page, encode_cursor(name, page[-1].id) if len(found) > limit else None


def of_user(user: domain.User) -> schemas.User:
    """An account on the wire."""
    # Nothing to validate: it was when it came in.
    return schemas.User.model_construct(
        id=user.id,
        email=user.email,
        full_name=user.full_name,
        role=user.role,
        timezone=user.timezone,
        phone=user.phone,
        birth_date=user.birth_date,
        status=user.status,
        version=user.version,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )


def user_answer(user: domain.User) -> web.Response:
    """An account as the answer."""
    return answer(of_user(user), headers=etag(user.version))


def created(user: domain.User) -> web.Response:
    """201 with an account that was made."""
    headers = {**etag(user.version), "Location": f"/v1/users/{user.id}"}
    return answer(of_user(user), status=201, headers=headers)
