"""What is recorded of who did what: ids, fixed words and an address; nothing that anybody wrote."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

DETAILS_LENGTH: Final = 255  # characters

_words = re.compile(r"[a-z0-9_=:. -]*\Z").match


class Action(StrEnum):
    """What was done."""

    SIGN_IN = "sign_in"
    SIGN_OUT = "sign_out"
    SESSION_ENDED = "session_ended"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a word, not a secret
    PASSWORD_RESET_ASKED = "password_reset_asked"  # noqa: S105 - a word, not a secret
    SECOND_FACTOR_SET = "second_factor_set"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    SECOND_FACTOR_POLICY = "second_factor_policy"
    REFRESH_REUSED = "refresh_reused"
    SERVICE_TOKEN = "service_token"  # noqa: S105 - a word, not a secret
    ACCOUNT_MADE = "account_made"
    ACCOUNT_CHANGED = "account_changed"
    ACCOUNT_CLOSED = "account_closed"
    DOCTOR_DESCRIBED = "doctor_described"
    SERVICE_REGISTERED = "service_registered"
    KEY_MADE = "key_made"
    KEY_RETIRED = "key_retired"
    ACCOUNT_READ = "account_read"
    NAME_READ = "name_read"
    CONTACT_READ = "contact_read"
    ACCOUNTS_LISTED = "accounts_listed"
    AUDIT_LISTED = "audit_listed"


class Outcome(StrEnum):
    """What came of it."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks, and from where.

    Attributes:
        actor_id: an account's id or a service's name; None for whoever is not signed in.
        actor_role: `patient`, `doctor`, `admin`, `service`; `system` for a command or the process.
        address: the caller's, in one way of writing it; None for a command.
        request_id: under which the logs of all services tell of the request.
    """

    actor_id: str | None
    actor_role: str | None
    address: str | None = None
    request_id: str | None = None

    def acting_as(self, actor_id: str, actor_role: str) -> Self:
        """The same origin, once it is known who it is."""
        return replace(self, actor_id=actor_id, actor_role=actor_role)


SYSTEM: Final = Origin(None, "system")
"""A command at the machine, or the process of its own accord."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done; `id` tells in which order.

    Action and outcome are texts: a newer version's may be ones that this one doesn't know.

    Raises:
        ValueError: the details are more than fixed words.
    """

    id: str
    at: datetime
    action: str
    outcome: str
    origin: Origin
    subject_id: str | None = None
    details: str = ""

    def __post_init__(self) -> None:
        if len(self.details) > DETAILS_LENGTH or not _words(self.details):
            raise ValueError("details are a few fixed words: no text that anybody wrote")


def field_names(names: Iterable[str]) -> str:
    """Which fields something is about, in one order."""
    return " ".join(sorted(names))
