"""Other passwords, and registrations that are confirmed by mail."""

from collections.abc import Sequence
from typing import Final

from servicekit.auth import anyone, people
from servicekit.operations import AnyOperation, Operation
from users_service import errors, schemas
from users_service.handlers import passwords
from users_service.routes.problems import DATABASE

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="POST",
        path="/v1/auth/register/confirm",
        handler=passwords.confirm_registration,
        access=anyone("who has a token that was mailed"),
        summary="Confirm a registration: the account lives from then on",
        body=schemas.RegistrationToken,
        description="The password is the one that was registered: a registration made by another "
        "for one's own address can't be confirmed by mistake.",
        answers={201: schemas.User},
        problems=(
            errors.BadCredentialsError,
            errors.EmailTakenError,
            errors.InvalidRegistrationTokenError,
            errors.TooBusyError,
            *DATABASE,
        ),
    ),
    Operation(
        method="POST",
        path="/v1/auth/password",
        handler=passwords.change_password,
        access=people(),
        summary="Change the caller's own password",
        description="Every session ends. A wrong present password counts as a failed login.",
        body=schemas.PasswordChange,
        answers={204: None},
        problems=(
            errors.BadCredentialsError,
            errors.TooBusyError,
            errors.TooManyAttemptsError,
            errors.TooBusyError,
            errors.WeakPasswordError,
            *DATABASE,
        ),
    ),
    Operation(
        method="POST",
        path="/v1/auth/password-reset",
        handler=passwords.request_reset,
        access=anyone(),
        summary="Have a token mailed that sets a new password",
        description="The same answer whether the address has an account or not. The token is good "
        "once, for an hour; at most three an hour are mailed to an address.",
        body=schemas.PasswordReset,
        answers={202: None},
        problems=DATABASE,
    ),
    Operation(
        method="POST",
        path="/v1/auth/password-reset/confirm",
        handler=passwords.confirm_reset,
        access=anyone("who has a token that was mailed"),
        summary="Set a new password by a mailed token",
        description="Every session ends, and every other token that was mailed. A weak password "
        "leaves the token good.",
        body=schemas.NewPasswordByToken,
        answers={204: None},
        problems=(
            errors.InvalidResetTokenError,
            errors.TooBusyError,
            errors.WeakPasswordError,
            *DATABASE,
        ),
    ),
)
