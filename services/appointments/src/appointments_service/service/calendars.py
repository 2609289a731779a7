"""Use cases of calendar feeds: open one, close it, and read it by its secret."""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from appointments_service.directory import Directory
from appointments_service.domain.appointments import Actor
from appointments_service.domain.feeds import Feed, summary_for
from appointments_service.domain.icalendar import CalendarWriter
from appointments_service.errors import NotFoundError
from appointments_service.store import AppointmentStore, Position, Selection

SECRET_BYTES: Final = 32
PAST: Final = timedelta(days=30)
REFRESH: Final = timedelta(hours=1)
PAGE: Final = 200
PAGES: Final = 10
"""A feed has so many pages of appointments at most, the earliest ones: some years of a patient, and
a season of the busiest doctor."""

_is_secret = re.compile(r"[A-Za-z0-9_-]{43}\Z").match


@dataclass(frozen=True, slots=True)
class Read:
    """A feed as it was read: whose it is, its text, and the patients that it tells of."""

    feed: Feed
    text: bytes
    patient_ids: frozenset[str]


class Calendars:
    """What people and their calendars' programs may do with feeds."""

    def __init__(
        self, store: AppointmentStore, directory: Directory, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock

    async def open(self, actor: Actor) -> str:
        """A new secret for the actor's own calendar; the one before it is good no more."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        await self._store.replace_feed(
            Feed(digest_of(secret), actor.id, actor.role, self._clock())
        )
        return secret

    async def close(self, actor: Actor) -> None:
        """Ends the actor's feed, if there is one."""
        await self._store.remove_feed(actor.id)

    async def read(self, secret: str) -> Read:
        """The calendar that a secret opens: the past 30 days and all that is to come.

        A secret is looked up by its digest, so how long that takes tells nothing of any other.
        An account that isn't active as what it was, disabled or closed or in another role, has no
        feed: its secret must not outlive its tokens. Active again, it has it again.

        Raises:
            NotFoundError: it opens none.
            UsersUnavailableError: whether its owner is active can't be known just now.
        """
        feed = await self._store.read_feed(digest_of(secret)) if _is_secret(secret) else None
        if feed is None or not await self._is_active(feed):
            raise NotFoundError("there is no such calendar")
        writer = CalendarWriter("Appointments", REFRESH)
        patient_ids: set[str] = set()
        selection = Selection(
            patient_id=feed.owner_id if feed.role == "patient" else None,
            doctor_id=feed.owner_id if feed.role == "doctor" else None,
            since=self._clock() - PAST,
        )
        position: Position | None = None
        for _ in range(PAGES):
            found, position = await self._store.list_appointments(selection, PAGE, position)
            writer.add((one, summary_for(feed.role, one)) for one in found)
            patient_ids |= {one.patient_id for one in found}
            if position is None:
                break
        return Read(feed, writer.encode(), frozenset(patient_ids))

    async def _is_active(self, feed: Feed) -> bool:
        if feed.role == "patient":
            return await self._directory.patient(feed.owner_id) is not None
        return await self._directory.doctor(feed.owner_id) is not None


def digest_of(secret: str) -> str:
    """What is kept of a secret. Its 256 random bits need no salt, and no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
