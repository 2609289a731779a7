"""What is stored of a person besides the account, as an export tells it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in and what came of it: a family of refresh tokens."""

    id: str
    created_at: datetime
    last_used_at: datetime | None
    ended_at: datetime | None
    client: str | None


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """That there is one, and since when it counts; None while it is not confirmed."""

    created_at: datetime
    confirmed_at: datetime | None
