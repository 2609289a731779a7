"""Who calls: the bearer token of a request, verified, and the rule of the operation it asks for."""

from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import web

from jwtverify import Claims, JWTVerifier, KeysUnavailable, TokenError
from servicekit.problems import (
    FORBIDDEN,
    INVALID_TOKEN,
    KEYS_UNAVAILABLE,
    ProblemError,
    unavailable,
)

PEOPLE: Final = frozenset({"patient", "doctor", "admin"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent the request, as its token says; `token` is passed on to other services.

    `session` is the sign-in that the token came from (`sid`), "" where it names none.
    """

    id: str
    role: str
    name: str
    scope: frozenset[str]
    token: str
    session: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use an operation, as far as role and scope say.

    What depends on the thing asked for ("its patient", "own") is the service's to judge; `note`
    says it in words, for the documents.
    """

    caller: Literal["ignored", "optional", "required"]
    roles: frozenset[str] = frozenset()
    scope: str = ""
    note: str = ""

    def check(self, caller: Caller) -> None:
        """Raises ProblemError (403) for a caller whose role or scope isn't enough."""
        if self.scope:
            if caller.role != "service" or self.scope not in caller.scope:
                raise ProblemError(FORBIDDEN, f"this takes the scope {self.scope}")
        elif caller.role not in self.roles:
            raise ProblemError(FORBIDDEN, "this role may not do this")


def anyone(note: str = "") -> Access:
    """Open to all; a token is not even looked at."""
    return Access("ignored", note=note)


def anyone_or_caller(note: str = "") -> Access:
    """Open to all; a token that is there must be good, and may change the answer."""
    return Access("optional", roles=PEOPLE | {"service"}, note=note)


def people(*roles: str, note: str = "") -> Access:
    """People with one of the roles; without any named, all who are signed in."""
    unknown = set(roles) - PEOPLE
    if unknown:
        raise ValueError(f"unknown roles: {sorted(unknown)}")
    return Access("required", roles=frozenset(roles) or PEOPLE, note=note)


def services(scope: str) -> Access:
    """Another service, by a service token with this scope."""
    return Access("required", scope=scope)


def _invalid(detail: str) -> ProblemError:
    return ProblemError(INVALID_TOKEN, detail)


def bearer_token(request: web.Request) -> str | None:
    """The token of the `Authorization` header (RFC 6750), None if there is no such header.

    Raises:
        ProblemError: 401 for a header that is there and is not one bearer token.
    """
    headers = request.headers.getall("Authorization", ())
    if not headers:
        return None
    scheme, _, token = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise _invalid("the Authorization header is not one bearer token")
    return token.strip()


async def authenticate(
    request: web.Request, access: Access, verifier: JWTVerifier
) -> Caller | None:
    """The caller of a request, None if it has no token and needs none.

    Whether this caller may do it, `access.check` says.

    Raises:
        ProblemError: 401 for a missing or bad token, 503 where no key could be had to verify with.
    """
    if access.caller == "ignored":
        return None
    token = bearer_token(request)
    if token is None:
        if access.caller == "optional":
            return None
        raise _invalid("this takes an access token")
    return _caller(token, await verify(token, verifier))


async def verify(token: str, verifier: JWTVerifier) -> Claims:
    """A token's claims. Raises ProblemError: 401 for a bad one, 503 where no key can be had."""
    try:
        return verifier.cached(token) or await verifier.verify(token)
    except TokenError as error:
        raise _invalid(f"the access token is refused: {error.reason}") from error
    except KeysUnavailable as error:
        raise unavailable(KEYS_UNAVAILABLE, "try again shortly") from error


def _caller(token: str, claims: Claims) -> Caller:
    session = claims.raw.get("sid")
    return Caller(
        claims.subject,
        claims.role,
        claims.name or "",
        claims.scope,
        token,
        session if isinstance(session, str) else "",
    )
