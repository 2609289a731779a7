"""Second factors."""

from collections.abc import Sequence
from typing import Final

from servicekit.auth import people
from servicekit.operations import AnyOperation, Operation
from users_service import errors, schemas
from users_service.handlers import second_factors
from users_service.routes.access import OWN_OR_ENROLLING
from users_service.routes.problems import DATABASE

_CODE: Final = (
    errors.NoSecondFactorError,
    errors.WrongCodeError,
    errors.TooManyAttemptsError,
    *DATABASE,
)
_PASSWORD: Final = (errors.BadCredentialsError, errors.TooBusyError)

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="GET",
        path="/v1/auth/second-factor",
        handler=second_factors.get_status,
        access=OWN_OR_ENROLLING,
        summary="The caller's second factor",
        answers={200: schemas.FactorStatus},
        problems=DATABASE,
    ),
    Operation(
        method="POST",
        path="/v1/auth/second-factor",
        handler=second_factors.begin,
        access=OWN_OR_ENROLLING,
        summary="Begin to set up a second factor",
        description="One-time passwords by time (RFC 6238): SHA-1, 6 digits, 30 seconds. One that "
        "was begun before and isn't confirmed is replaced.",
        body=schemas.PasswordAgain,
        answers={200: schemas.NewFactor},
        problems=(
            errors.SecondFactorSetError,
            errors.TooManyAttemptsError,
            *_PASSWORD,
            *DATABASE,
        ),
    ),
    Operation(
        method="POST",
        path="/v1/auth/second-factor/confirm",
        handler=second_factors.confirm,
        access=OWN_OR_ENROLLING,
        summary="Confirm the second factor by a code of it",
        description="From now on a login takes a code. All sessions end but this one, whose next "
        "refresh gives a token for all that its owner may do.",
        body=schemas.FactorCode,
        answers={200: schemas.RecoveryCodes},
        problems=(errors.SecondFactorSetError, *_CODE),
    ),
    Operation(
        method="POST",
        path="/v1/auth/second-factor/recovery-codes",
        handler=second_factors.renew_codes,
        access=people(),
        summary="Get new recovery codes in the place of all that there are",
        body=schemas.FactorCode,
        answers={200: schemas.RecoveryCodes},
        problems=_CODE,
    ),
    Operation(
        method="POST",
        path="/v1/auth/second-factor/remove",
        handler=second_factors.remove,
        access=people(),
        summary="Remove the second factor",
        body=schemas.PasswordAndCode,
        answers={204: None},
        problems=(*_PASSWORD, *_CODE),
    ),
    Operation(
        method="DELETE",
        path="/v1/users/{id}/second-factor",
        handler=second_factors.remove_of,
        access=people("admin"),
        summary="Remove another's second factor, whose device is lost",
        answers={204: None},
        problems=(errors.NotAllowedError, errors.UnknownUserError, *DATABASE),
    ),
    Operation(
        method="GET",
        path="/v1/auth/second-factor/policy",
        handler=second_factors.get_policy,
        access=people("admin"),
        summary="The roles that must have a second factor",
        answers={200: schemas.FactorPolicy},
        problems=DATABASE,
    ),
    Operation(
        method="PUT",
        path="/v1/auth/second-factor/policy",
        handler=second_factors.put_policy,
        access=people("admin"),
        summary="Require a second factor of roles",
        description="Who has such a role and no second factor gets, from the next login or refresh "
        "on, access tokens with the role `enrolling`, which only let them set one up.",
        body=schemas.FactorPolicy,
        answers={200: schemas.FactorPolicy},
        problems=DATABASE,
    ),
)
