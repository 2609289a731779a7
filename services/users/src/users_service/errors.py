"""What can go wrong, in the domain's words. What it is on the wire, `routes` says.

An error may carry `members` (more for the problem document) and `retry_after` (seconds).
"""

from collections.abc import Mapping
from typing import Any


class UsersError(Exception):
    """The base of every refusal and failure of this service."""


class EmailTakenError(UsersError):
    """Another account has this e-mail address, in whichever case it is written."""


class WeakPasswordError(UsersError):
    """The password is too short, too long, common, or made of the account's own name."""


class InvalidFieldError(UsersError):
    """A field that is well formed and still not acceptable."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        error = {"loc": ["body", field], "msg": reason, "type": "value_error"}
        self.members: Mapping[str, Any] = {"errors": [error]}


class BadCredentialsError(UsersError):
    """No active account has this e-mail address and this password."""


class SecondFactorRequiredError(UsersError):
    """The password is right, and the account's second factor wasn't given."""


class WrongCodeError(UsersError):
    """The code is not the second factor's, or was used before."""


class NoSecondFactorError(UsersError):
    """The account has no second factor in the state that this needs."""


class SecondFactorSetError(UsersError):
    """The account has a confirmed second factor already."""


class UnknownSessionError(UsersError):
    """There is no such session of the caller."""


class TooBusyError(UsersError):
    """More passwords wait to be hashed than can be in time; `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"try again in {retry_after} seconds")
        self.retry_after = retry_after


class TooManyAttemptsError(UsersError):
    """Too many failed logins lately; `retry_after` says in how many seconds the next may come."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"try again in {retry_after} seconds")
        self.retry_after = retry_after


class InvalidRefreshTokenError(UsersError):
    """The refresh token is unknown, expired, spent, of an ended family or a disabled account."""


class InvalidResetTokenError(UsersError):
    """The mailed token is unknown, expired or spent, or its account is disabled."""


class InvalidRegistrationTokenError(UsersError):
    """The mailed token is unknown, expired or spent."""


class InvalidAccountError(UsersError):
    """The access token speaks for an account that is disabled or no longer there."""


class InvalidClientError(UsersError):
    """The client assertion doesn't prove which service this is."""


class UnknownUserError(UsersError):
    """There is no such account, or none that the caller may know of."""


class UnknownDoctorError(UsersError):
    """There is no such doctor."""


class NotAllowedError(UsersError):
    """The caller may know of the thing, but may not do this to it."""


class VersionMismatchError(UsersError):
    """The thing has another version than the one that was to be changed."""


class LastAdminError(UsersError):
    """Without this account nobody could administer the clinic any more."""


class UnreadableKeyError(UsersError):
    """The sealing key doesn't open what is sealed in the database."""


class NeighbourUnavailableError(UsersError):
    """Another service can't be asked just now, or doesn't do what it is asked for."""


class KeyChangeRefusedError(UsersError):
    """The signing keys can't be changed like that now; the text says what to do."""


class SealingKeyUnavailableError(UsersError):
    """The sealing key can't be read from where it is kept."""


class StoreUnavailableError(UsersError):
    """The database is away, or too busy to answer in time."""
