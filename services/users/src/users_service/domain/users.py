"""Accounts and doctors: their shapes, who may see them, and how names compare."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from users_service.errors import InvalidFieldError

EMAIL_LENGTH: Final = 254  # characters; RFC 5321's path of 256 without its brackets
LOCAL_PART_LENGTH: Final = 64
OLDEST_BIRTH_DATE: Final = date(1900, 1, 1)

# Somewhere on Earth it is already this much later than in UTC.
_EASTERNMOST: Final = timedelta(hours=14)

_label = re.compile(r"[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?\Z").match


class Role(StrEnum):
    """What an account is in the clinic."""

    PATIENT = "patient"
    DOCTOR = "doctor"
    ADMIN = "admin"


class Status(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class User:
    """An account; instants are aware and UTC, `timezone` is an IANA name."""

    id: str
    email: str
    full_name: str
    role: Role
    timezone: str
    phone: str | None
    birth_date: date | None
    status: Status
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def is_active(self) -> bool:
        """Whether the account may be used."""
        return self.status is Status.ACTIVE

    @property
    def administers(self) -> bool:
        """Whether this is one of those without whom nobody could administer the clinic."""
        return self.is_active and self.role is Role.ADMIN


@dataclass(frozen=True, slots=True)
class Doctor:
    """What everybody may know of a doctor; the name and the zone are the account's."""

    id: str
    full_name: str
    specialty: str
    bio: str
    timezone: str
    accepting_patients: bool
    version: int


def folded(text: str) -> str:
    """The text for comparing without regard to case and to ways of writing one character."""
    # Folding can undo the normal form, and only the normal form of what is folded compares.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def email_key(email: str) -> str:
    """What is unique about an e-mail address. At most `EMAIL_LENGTH` characters for a valid one."""
    return folded(email)


def name_key(full_name: str) -> str:
    """What a search looks through."""
    return folded(full_name)


def specialty_key(specialty: str) -> str:
    """What is equal for specialties that differ in case only: 64 hex digits.

    A digest, since databases disagree about trailing spaces, and folding about lengths.
    """
    return hashlib.sha256(folded(specialty).encode()).hexdigest()


def check_email(email: str) -> str:
    """The address itself. Raises ValueError if it isn't of the form local@domain.

    The form is checked of the folded address as well: a full-width `＠` is one `@` more there.
    """
    for text in (email, email_key(email)):
        if len(text) > EMAIL_LENGTH:
            raise ValueError(f"an e-mail address has at most {EMAIL_LENGTH} characters")
        # C: control, format, surrogate, unassigned; Z: every kind of space.
        if any(unicodedata.category(character)[0] in "CZ" for character in text):
            raise ValueError("an e-mail address has no spaces or control characters")
        local, at, domain = text.partition("@")
        if not at or not 1 <= len(local) <= LOCAL_PART_LENGTH:
            raise ValueError("not an e-mail address")
        labels = domain.split(".")
        if len(labels) < 2 or not all(map(_label, labels)):
            raise ValueError("not an e-mail address: its domain is malformed")
    return email


def check_line(text: str) -> str:
    """The text itself. Raises ValueError if it is blank or has control characters."""
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must be one line without control characters")
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def check_birth_date(birth_date: date | None, now: datetime) -> None:
    """Refuses (InvalidFieldError) a date on which nobody who lives now was born."""
    if birth_date is None:
        return
    if birth_date < OLDEST_BIRTH_DATE:
        raise InvalidFieldError("birth_date", f"must not be before {OLDEST_BIRTH_DATE}")
    if birth_date > (now + _EASTERNMOST).date():
        raise InvalidFieldError("birth_date", "must not be in the future")


def may_see(viewer: User, user: User) -> bool:
    """Whether the viewer may see the whole account."""
    return viewer.role is Role.ADMIN or viewer.id == user.id


def may_see_name(viewer: User, user: User) -> bool:
    """Whether the viewer may at least know who this is."""
    return may_see(viewer, user) or (viewer.role is Role.DOCTOR and user.role is Role.PATIENT)
