"""What each domain error is on the wire."""

from collections.abc import Mapping
from typing import Final

from servicekit.problems import (
    FORBIDDEN,
    INVALID_TOKEN,
    NOT_FOUND,
    STORE_UNAVAILABLE,
    VALIDATION_FAILED,
    VERSION_MISMATCH,
    Problem,
)
from users_service import errors

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
    errors.InvalidRegistrationTokenError: Problem(
        401, "invalid_registration_token", "The token is not good any more, or never was"
    ),
    errors.InvalidResetTokenError: Problem(
        401, "invalid_reset_token", "The token is not good any more, or never was"
    ),
    errors.LastAdminError: Problem(409, "last_admin", "This is the last active admin"),
    errors.NeighbourUnavailableError: Problem(
        503, "neighbour_unavailable", "Another service that this needs is away"
    ),
    errors.NoSecondFactorError: Problem(
        409, "no_second_factor", "There is no second factor to do this with"
    ),
    errors.NotAllowedError: FORBIDDEN,
    errors.SecondFactorRequiredError: Problem(
        401, "second_factor_required", "The account has a second factor"
    ),
    errors.SecondFactorSetError: Problem(
        409, "second_factor_set", "There is a confirmed second factor"
    ),
    errors.StoreUnavailableError: STORE_UNAVAILABLE,
    errors.TooBusyError: Problem(
        503, "too_busy", "Too many passwords wait to be hashed; come again later"
    ),
    errors.TooManyAttemptsError: Problem(
        429, "too_many_attempts", "Too many failed logins; wait before the next"
    ),
    errors.UnknownDoctorError: NOT_FOUND,
    errors.UnknownSessionError: NOT_FOUND,
    errors.UnknownUserError: NOT_FOUND,
    errors.VersionMismatchError: VERSION_MISMATCH,
    errors.WeakPasswordError: Problem(422, "weak_password", "The password is easy to guess"),
    errors.WrongCodeError: Problem(422, "wrong_code", "The code is not the second factor's"),
}

DATABASE: Final = (errors.StoreUnavailableError,)
"""What every operation that asks the database may end with."""
