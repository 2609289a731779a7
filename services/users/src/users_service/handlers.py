"""Parse, call the use case, answer."""

from ipaddress import ip_address
from typing import Any

from aiohttp import web

from servicekit.auth import Caller
from servicekit.operations import Call, answer, etag, no_content
from servicekit.paging import decode_cursor, encode_cursor
from servicekit.problems import BAD_CURSOR, ProblemError
from servicekit.wire import NoQuery, Nothing, is_id
from users_service import schemas
from users_service.domain import users as domain
from users_service.service import UseCases
from users_service.service.accounts import NewAccount
from users_service.service.keys import jwk
from users_service.service.sessions import TokenPair
from users_service.store import DoctorFilter, UserFilter

USE_CASES = web.AppKey("use_cases", UseCases)
ACCOUNT = web.RequestKey("account", domain.User)

_NO_STORE = {"Cache-Control": "no-store"}  # RFC 6749, 5.1
_KEYS_KEPT = {"Cache-Control": "public, max-age=300"}


async def load_account(request: web.Request, caller: Caller) -> Caller:
    """Who calls as the database has them: a token may be older than the last change of its account.

    The one statement that this takes is also what `GET /v1/users/me` answers with.

    Raises:
        InvalidAccountError: the account is disabled or closed.
    """
    if caller.role == "service":
        return caller
    account = await request.app[USE_CASES].accounts.active(caller.id)
    request[ACCOUNT] = account
    if account.role.value == caller.role:
        return caller
    return Caller(caller.id, account.role.value, caller.name, caller.scope, caller.token)


async def register(call: Call[schemas.Registration, NoQuery]) -> web.Response:
    """POST /v1/auth/register."""
    return _created(await _use_cases(call).accounts.create(_new_account(call.body)))


async def create_user(call: Call[schemas.NewUser, NoQuery]) -> web.Response:
    """POST /v1/users."""
    new = _new_account(call.body, role=call.body.role)
    return _created(await _use_cases(call).accounts.create(new))


async def login(call: Call[schemas.Login, NoQuery]) -> web.Response:
    """POST /v1/auth/login."""
    body, address = call.body, client_address(call.request)
    return _tokens(await _use_cases(call).sessions.login(body.email, body.password, address))


async def refresh(call: Call[schemas.RefreshToken, NoQuery]) -> web.Response:
    """POST /v1/auth/refresh."""
    return _tokens(await _use_cases(call).sessions.refresh(call.body.refresh_token))


async def logout(call: Call[schemas.RefreshToken, NoQuery]) -> web.Response:
    """POST /v1/auth/logout."""
    await _use_cases(call).sessions.logout(call.body.refresh_token)
    return no_content()


async def issue_service_token(call: Call[schemas.Assertion, NoQuery]) -> web.Response:
    """POST /v1/auth/service-token."""
    token = await _use_cases(call).clients.token(call.body.client_assertion)
    body = schemas.ServiceToken(access_token=token.text, expires_in=token.expires_in)
    return answer(body, headers=_NO_STORE)


async def get_keys(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /.well-known/jwks.json."""
    keys = await _use_cases(call).keys.published()
    return answer(schemas.JWKS(keys=[schemas.JWK(**jwk(key)) for key in keys]), headers=_KEYS_KEPT)


async def get_own_account(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/users/me."""
    return _user(call.request[ACCOUNT])


async def change_own_account(call: Call[schemas.OwnPatch, NoQuery]) -> web.Response:
    """PATCH /v1/users/me."""
    return await _change(call, call.caller.id)


async def list_users(call: Call[Nothing, schemas.UsersQuery]) -> web.Response:
    """GET /v1/users."""
    query = call.query
    name = f"users:{query.role}:{query.status}:{query.q}"
    after = _after(name, query.cursor)
    chosen = UserFilter(query.role, query.status, query.q)
    found = await _use_cases(call).accounts.list(chosen, after, query.limit + 1)
    page, cursor = _page(name, found, query.limit)
    return answer(schemas.UserPage(items=[_of_user(user) for user in page], next_cursor=cursor))


async def get_user(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/users/{id}."""
    viewer = call.request[ACCOUNT]
    user = await _use_cases(call).accounts.seen_by(viewer, call.path["id"])
    if domain.may_see(viewer, user):
        return _user(user)
    return answer(schemas.NamedUser(id=user.id, full_name=user.full_name))


async def change_user(call: Call[schemas.UserPatch, NoQuery]) -> web.Response:
    """PATCH /v1/users/{id}."""
    return await _change(call, call.path["id"])


async def get_contact(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/users/{id}/contact."""
    user = await _use_cases(call).accounts.user(call.path["id"])
    return answer(
        schemas.Contact(
            email=user.email, full_name=user.full_name, timezone=user.timezone, phone=user.phone
        )
    )


async def get_name(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/users/{id}/name."""
    user = await _use_cases(call).accounts.user(call.path["id"])
    return answer(
        schemas.Identity(id=user.id, full_name=user.full_name, role=user.role, status=user.status)
    )


async def list_doctors(call: Call[Nothing, schemas.DoctorsQuery]) -> web.Response:
    """GET /v1/doctors."""
    query = call.query
    name = f"doctors:{query.specialty}:{query.q}"
    after = _after(name, query.cursor)
    chosen = DoctorFilter(query.specialty, query.q)
    found = await _use_cases(call).directory.list(chosen, after, query.limit + 1)
    page, cursor = _page(name, found, query.limit)
    items = [_of_doctor(doctor) for doctor in page]
    return answer(schemas.DoctorPage(items=items, next_cursor=cursor))


async def get_doctor(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/doctors/{id}."""
    directory = _use_cases(call).directory
    doctor = await directory.doctor(call.path["id"])
    # Private: whoever relies on it counts from its own question, not from a cache's.
    lease = f"private, max-age={directory.lease_seconds}"
    headers = {**etag(doctor.version), "Cache-Control": lease}
    return answer(_of_doctor(doctor), headers=headers)


async def describe_doctor(call: Call[schemas.Description, NoQuery]) -> web.Response:
    """PUT /v1/doctors/{id}."""
    described = await _use_cases(call).directory.describe(
        call.request[ACCOUNT],
        call.path["id"],
        specialty=call.body.specialty,
        bio=call.body.bio,
        accepting_patients=call.body.accepting_patients,
        versions=call.if_match,
    )
    return _doctor(described)


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


def _use_cases(call: Call[Any, Any]) -> UseCases:
    return call.request.app[USE_CASES]


def _new_account(body: schemas.Registration, role: domain.Role = domain.Role.PATIENT) -> NewAccount:
    return NewAccount(
        email=body.email,
        password=body.password,
        full_name=body.full_name,
        role=role,
        timezone=body.timezone,
        phone=body.phone,
        birth_date=body.birth_date,
    )


async def _change(call: Call[Any, Any], user_id: str) -> web.Response:
    """Changes the fields that are in the body, also those that it sets to null."""
    changes = {name: getattr(call.body, name) for name in call.body.model_fields_set}
    actor = call.request[ACCOUNT]
    return _user(await _use_cases(call).accounts.change(actor, user_id, changes, call.if_match))


def _after(name: str, cursor: str | None) -> str:
    """The id behind which a page begins. Raises ProblemError for what no list gives out."""
    position = decode_cursor(name, cursor)
    if position is None:
        return ""
    if not isinstance(position, str) or not is_id(position):
        raise ProblemError(BAD_CURSOR)
    return position


def _page(name: str, found: list[Any], limit: int) -> tuple[list[Any], str | None]:
    """One page of what was found, and the cursor to the next if there was one more than asked."""
    page = found[:limit]
    return page, encode_cursor(name, page[-1].id) if len(found) > limit else None


def _of_user(user: domain.User) -> schemas.User:
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


def _of_doctor(doctor: domain.Doctor) -> schemas.Doctor:
    return schemas.Doctor.model_construct(
        id=doctor.id,
        full_name=doctor.full_name,
        specialty=doctor.specialty,
        bio=doctor.bio,
        timezone=doctor.timezone,
        accepting_patients=doctor.accepting_patients,
        version=doctor.version,
    )


def _user(user: domain.User) -> web.Response:
    return answer(_of_user(user), headers=etag(user.version))


def _created(user: domain.User) -> web.Response:
    headers = {**etag(user.version), "Location": f"/v1/users/{user.id}"}
    return answer(_of_user(user), status=201, headers=headers)


def _doctor(doctor: domain.Doctor) -> web.Response:
    return answer(_of_doctor(doctor), headers=etag(doctor.version))


def _tokens(pair: TokenPair) -> web.Response:
    body = schemas.TokenPair(
        access_token=pair.access.text,
        expires_in=pair.access.expires_in,
        refresh_token=pair.refresh,
    )
    return answer(body, headers=_NO_STORE)
