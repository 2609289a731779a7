"""Registering, signing in and out, and the keys."""

from collections.abc import Sequence
from typing import Final

from servicekit.auth import anyone
from servicekit.operations import AnyOperation, Operation
from users_service import errors, schemas
from users_service.handlers import auth
from users_service.routes.problems import DATABASE

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="POST",
        path="/v1/auth/register",
        handler=auth.register,
        access=anyone(),
        summary="Register as a patient",
        body=schemas.Registration,
        description="Where e-mail addresses are confirmed, the answer is 202, whether the address "
        "has an account or not, and a token is mailed. Otherwise it is 201, or 409.",
        answers={201: schemas.User, 202: None},
        problems=(
            errors.EmailTakenError,
            errors.WeakPasswordError,
            errors.TooBusyError,
            *DATABASE,
        ),
    ),
    Operation(
        method="POST",
        path="/v1/auth/login",
        handler=auth.login,
        access=anyone(),
        summary="Sign in",
        description="An unknown e-mail address and a wrong password get the same answer. Where "
        "a second factor is set up, `otp` is its code or a recovery code.",
        body=schemas.Login,
        answers={200: schemas.TokenPair},
        problems=(
            errors.BadCredentialsError,
            errors.SecondFactorRequiredError,
            errors.TooManyAttemptsError,
            errors.TooBusyError,
            *DATABASE,
        ),
    ),
    Operation(
        method="POST",
        path="/v1/auth/refresh",
        handler=auth.refresh,
        access=anyone(),
        summary="Get new tokens for a refresh token, which is spent by it",
        description="Within 10 seconds, and while its successor is unspent, a spent one gives "
        "that same successor again; later its whole family ends.",
        body=schemas.RefreshToken,
        answers={200: schemas.TokenPair},
        problems=(errors.InvalidRefreshTokenError, *DATABASE),
    ),
    Operation(
        method="POST",
        path="/v1/auth/logout",
        handler=auth.logout,
        access=anyone(),
        summary="Sign out: end a refresh token's family",
        body=schemas.RefreshToken,
        answers={204: None},
        problems=DATABASE,
    ),
    Operation(
        method="POST",
        path="/v1/auth/service-token",
        handler=auth.issue_service_token,
        access=anyone("a registered service, by its assertion"),
        summary="Get a service's access token (RFC 7523)",
        description="The assertion is an RS256 JWT: iss and sub the service's name, aud the token "
        "issuer, exp within 60 seconds, a jti that is used once.",
        body=schemas.Assertion,
        answers={200: schemas.ServiceToken},
        problems=(errors.InvalidClientError, *DATABASE),
    ),
    Operation(
        method="GET",
        path="/.well-known/jwks.json",
        handler=auth.get_keys,
        access=anyone(),
        summary="The public keys that access tokens are verified with",
        answers={200: schemas.JWKS},
        problems=DATABASE,
    ),
)
