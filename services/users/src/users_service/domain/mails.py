"""The mails about accounts: how many there may be, and what stands in them.

None of them repeats what somebody typed: whoever names another's address must not have a say in
what is sent there.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

MAILS_WINDOW: Final = timedelta(hours=1)
MAILS_PER_EMAIL: Final = 3  # of one kind to one e-mail address
MAILS_PER_CLIENT: Final = 20  # of one kind, asked for from one address

RESET_LIFETIME: Final = timedelta(hours=1)
REGISTRATION_LIFETIME: Final = timedelta(hours=24)


_NOT_YOU: Final = (
    'If it wasn\'t you, set a new password by "forgot password", and tell the clinic.\n'
)


class Kind(StrEnum):
    """What a mail is about."""

    RESET = "password reset"
    CHANGED = "password changed"
    FACTOR_SET = "second factor set"
    FACTOR_REMOVED = "second factor removed"
    CODES_MADE = "recovery codes made"
    REGISTRATION = "registration"
    REGISTERED = "registered already"


@dataclass(frozen=True, slots=True)
class Limit:
    """How often something may be counted under a key within `MAILS_WINDOW`."""

    key: str
    most: int


def limits(kind: Kind, client: str, email_key: str) -> tuple[Limit, Limit]:
    """What mails of a kind are counted under: the client's address, and the e-mail address."""
    return (
        Limit(_key(kind, "client", client), MAILS_PER_CLIENT),
        Limit(_key(kind, "email", email_key), MAILS_PER_EMAIL),
    )


def _key(*parts: str) -> str:
    """40 hex digits, which no network address is: what is counted here counts for no login."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


def new_token() -> str:
    """What is mailed: 32 random bytes in base64url, of which only the digest is stored."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject and text of a mail."""

    kind: Kind
    subject: str
    text: str


def reset_letter(base: str, token: str) -> Letter:
    """With the token that a new password can be set with."""
    return Letter(
        Kind.RESET,
        "Set a new password",
        "Somebody, you we hope, wants to set a new password for your account.\n\n"
        f"Open {base}/reset-password#token={token}\n\n"
        f"or enter this code where you asked for it: {token}\n\n"
        "It is good once, for an hour. If it wasn't you, do nothing: your password stays.\n",
    )


def changed_letter() -> Letter:
    """To the owner, who may not be the one who did it."""
    return Letter(
        Kind.CHANGED,
        "Your password was changed",
        "The password of your account was changed, and every device was signed out.\n\n" + _NOT_YOU,
    )


def factor_set_letter() -> Letter:
    """To the owner, once a second factor is asked for at sign-in."""
    return Letter(
        Kind.FACTOR_SET,
        "A second factor was set up",
        "Signing in to your account now takes a code of an authenticator, and every other device "
        "was signed out.\n\n" + _NOT_YOU,
    )


def factor_removed_letter() -> Letter:
    """To the owner, whoever removed it."""
    return Letter(
        Kind.FACTOR_REMOVED,
        "Your second factor was removed",
        "Signing in to your account takes no more than the password now.\n\n" + _NOT_YOU,
    )


def codes_made_letter() -> Letter:
    """To the owner, whose old recovery codes are void."""
    return Letter(
        Kind.CODES_MADE,
        "New recovery codes were made",
        "New recovery codes were made for your account; those before are void.\n\n" + _NOT_YOU,
    )


def registration_letter(base: str, token: str) -> Letter:
    """With the token that makes the account."""
    return Letter(
        Kind.REGISTRATION,
        "Confirm your registration",
        "Somebody, you we hope, wants to register with this e-mail address.\n\n"
        f"Open {base}/confirm-registration#token={token}\n\n"
        f"or enter this code where you registered: {token}\n\n"
        "You are asked for the password that you registered with. The code is good once, for 24 "
        "hours. If it wasn't you, do nothing: there will be no account.\n",
    )


def registered_letter(base: str) -> Letter:
    """To one who has an account, and perhaps has forgotten it."""
    return Letter(
        Kind.REGISTERED,
        "You have an account",
        "Somebody, you we hope, wants to register with this e-mail address, which has an account "
        "already.\n\n"
        f"If you have forgotten the password, set a new one at {base}/reset-password\n\n"
        "If it wasn't you, do nothing: nothing has changed.\n",
    )
