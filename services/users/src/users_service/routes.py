"""Every operation of the service, once, and what its errors are on the wire."""

from collections.abc import Mapping, Sequence
from typing import Final

from servicekit.auth import anyone, people, services
from servicekit.operations import AnyOperation, Operation
from servicekit.problems import (
    FORBIDDEN,
    INVALID_TOKEN,
    NOT_FOUND,
    STORE_UNAVAILABLE,
    VALIDATION_FAILED,
    VERSION_MISMATCH,
    Problem,
)
from users_service import errors, handlers, schemas

PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    errors.BadCredentialsError: Problem(
        401, "bad_credentials", "The e-mail address or the password is wrong"
    ),
    errors.EmailTakenError: Problem(409, "email_taken", "The e-mail address has an account"),
    errors.InvalidAccountError: INVALID_TOKEN,
    errors.InvalidClientError: Problem(
        401, "invalid_client", "The client assertion proves no registered service"
    ),
    errors.InvalidFieldError: VALIDATION_FAILED,
    errors.InvalidRefreshTokenError: Problem(
        401, "invalid_refresh_token", "The refresh token is not good any more, or never was"
    ),
    errors.LastAdminError: Problem(409, "last_admin", "This is the last active admin"),
    errors.NotAllowedError: FORBIDDEN,
    errors.StoreUnavailableError: STORE_UNAVAILABLE,
    errors.TooManyAttemptsError: Problem(
        429, "too_many_attempts", "Too many failed logins; wait before the next"
    ),
    errors.UnknownDoctorError: NOT_FOUND,
    errors.UnknownUserError: NOT_FOUND,
    errors.VersionMismatchError: VERSION_MISMATCH,
    errors.WeakPasswordError: Problem(422, "weak_password", "The password is easy to guess"),
}

_DATABASE: Final = (errors.StoreUnavailableError,)

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="POST",
        path="/v1/auth/register",
        handler=handlers.register,
        access=anyone(),
        summary="Register as a patient",
        body=schemas.Registration,
        answers={201: schemas.User},
        problems=(errors.EmailTakenError, errors.WeakPasswordError, *_DATABASE),
    ),
    Operation(
        method="POST",
        path="/v1/auth/login",
        handler=handlers.login,
        access=anyone(),
        summary="Sign in",
        description="An unknown e-mail address and a wrong password get the same answer.",
        body=schemas.Login,
        answers={200: schemas.TokenPair},
        problems=(errors.BadCredentialsError, errors.TooManyAttemptsError, *_DATABASE),
    ),
    Operation(
        method="POST",
        path="/v1/auth/refresh",
        handler=handlers.refresh,
        access=anyone(),
        summary="Get new tokens for a refresh token, which is spent by it",
        description="Within 10 seconds, and while its successor is unspent, a spent one gives "
        "that same successor again; later its whole family ends.",
        body=schemas.RefreshToken,
        answers={200: schemas.TokenPair},
        problems=(errors.InvalidRefreshTokenError, *_DATABASE),
    ),
    Operation(
        method="POST",
        path="/v1/auth/logout",
        handler=handlers.logout,
        access=anyone(),
        summary="Sign out: end a refresh token's family",
        body=schemas.RefreshToken,
        answers={204: None},
        problems=_DATABASE,
    ),
    Operation(
        method="POST",
        path="/v1/auth/service-token",
        handler=handlers.issue_service_token,
        access=anyone("a registered service, by its assertion"),
        summary="Get a service's access token (RFC 7523)",
        description="The assertion is an RS256 JWT: iss and sub the service's name, aud the token "
        "issuer, exp within 60 seconds, a jti that is used once.",
        body=schemas.Assertion,
        answers={200: schemas.ServiceToken},
        problems=(errors.InvalidClientError, *_DATABASE),
    ),
    Operation(
        method="GET",
        path="/.well-known/jwks.json",
        handler=handlers.get_keys,
        access=anyone(),
        summary="The public keys that access tokens are verified with",
        answers={200: schemas.JWKS},
        problems=_DATABASE,
    ),
    Operation(
        method="GET",
        path="/v1/users/me",
        handler=handlers.get_own_account,
        access=people(),
        summary="The caller's own account",
        answers={200: schemas.User},
        problems=_DATABASE,
        versioned=True,
    ),
    Operation(
        method="PATCH",
        path="/v1/users/me",
        handler=handlers.change_own_account,
        access=people(),
        summary="Change the caller's own account",
        body=schemas.OwnPatch,
        answers={200: schemas.User},
        problems=_DATABASE,
        versioned=True,
    ),
    Operation(
        method="GET",
        path="/v1/users",
        handler=handlers.list_users,
        access=people("admin"),
        summary="All accounts",
        query=schemas.UsersQuery,
        answers={200: schemas.UserPage},
        problems=_DATABASE,
    ),
    Operation(
        method="POST",
        path="/v1/users",
        handler=handlers.create_user,
        access=people("admin"),
        summary="Make an account of any role",
        body=schemas.NewUser,
        answers={201: schemas.User},
        problems=(errors.EmailTakenError, errors.WeakPasswordError, *_DATABASE),
    ),
    Operation(
        method="GET",
        path="/v1/users/{id}",
        handler=handlers.get_user,
        access=people(note="admins, the account's own; doctors see a patient's id and name"),
        summary="An account",
        answers={200: schemas.UserOrName},
        problems=_DATABASE,
        versioned=True,
    ),
    Operation(
        method="PATCH",
        path="/v1/users/{id}",
        handler=handlers.change_user,
        access=people(note="admins, and the account's own but for role and status"),
        summary="Change an account",
        body=schemas.UserPatch,
        answers={200: schemas.User},
        problems=(errors.LastAdminError, *_DATABASE),
        versioned=True,
    ),
    Operation(
        method="GET",
        path="/v1/users/{id}/contact",
        handler=handlers.get_contact,
        access=services("contact:read"),
        summary="How to reach a person",
        answers={200: schemas.Contact},
        problems=_DATABASE,
    ),
    Operation(
        method="GET",
        path="/v1/users/{id}/name",
        handler=handlers.get_name,
        access=services("names:read"),
        summary="Who a person is",
        answers={200: schemas.Identity},
        problems=_DATABASE,
    ),
    Operation(
        method="GET",
        path="/v1/doctors",
        handler=handlers.list_doctors,
        access=anyone(),
        summary="The doctors' directory",
        query=schemas.DoctorsQuery,
        answers={200: schemas.DoctorPage},
        problems=_DATABASE,
    ),
    Operation(
        method="GET",
        path="/v1/doctors/{id}",
        handler=handlers.get_doctor,
        access=anyone(),
        summary="A doctor",
        answers={200: schemas.Doctor},
        problems=_DATABASE,
        versioned=True,
    ),
    Operation(
        method="PUT",
        path="/v1/doctors/{id}",
        handler=handlers.describe_doctor,
        access=people("doctor", "admin", note="the doctor's own, admins"),
        summary="Describe a doctor",
        body=schemas.Description,
        answers={200: schemas.Doctor},
        problems=_DATABASE,
        versioned=True,
    ),
)
