"""An outbox on the emulator, and who works on it: with a mailer and contacts of the tests' own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from appointments_service.directory import Contact
from appointments_service.domain.appointments import (
    Actor,
    Appointment,
    Party,
    Status,
    booked,
    moved,
    with_status,
)
from appointments_service.domain.availability import Slot
from appointments_service.domain.buckets import claims_of
from appointments_service.domain.letters import letter_of
from appointments_service.domain.notices import Kind, Letter, Notice, notice_of, read_notice
from appointments_service.errors import UsersUnavailableError
from appointments_service.outbox import Posting
from appointments_service.service.mailing import Backlog, Mailing
from appointments_service.store import Changed, Write
from appointments_service.store_dynamodb import DynamoDBStore
from servicekit.testing import FakeClock, FakeMailer
from tests.appointments.faults import FaultyClient

NINE = datetime(2026, 3, 5, 9, 0, tzinfo=UTC)
PAT = Actor("pat", "patient")


class FakeContacts:
    """Everybody of whom a test hasn't said otherwise can be reached at an address of the id."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.away = False
        self.broken: set[str] = set()
        self.asked: list[str] = []

    async def contact(self, user_id: str) -> Contact | None:
        self.asked.append(user_id)
        if self.away:
            raise UsersUnavailableError("users: away")
        if user_id in self.broken:
            raise RuntimeError("a defect")
        return None if user_id in self.gone else Contact(f"{user_id}@a.example", "UTC")


class Desk:
    """An outbox, changes of appointments, and instances that send."""

    def __init__(self, client: Any, table: str, clock: FakeClock) -> None:
        self.client = FaultyClient(client)
        self.store = DynamoDBStore(self.client, table)
        self.clock = clock
        self.contacts = FakeContacts()
        self.mailer = FakeMailer()
        self.ended: list[tuple[str, str]] = []
        self.backlog = Backlog(0, None)
        self._made = 0

    def instance(self, mailer: FakeMailer | None = None) -> Mailing:
        async def write(kind: Kind, told: Sequence[Appointment], timezone: str) -> Letter:
            return letter_of(kind, told, timezone, locale="en", base="https://clinic.example")

        def seen(backlog: Backlog) -> None:
            self.backlog = backlog

        return Mailing(
            self.store,
            self.contacts,
            mailer or self.mailer,
            self.clock,
            write=write,
            senders=4,
            due=asyncio.Event(),
            seen=seen,
            ended=lambda kind, result: self.ended.append((kind.value, result)),
        )

    async def work(self) -> None:
        await self.instance().work()

    async def change(self, what: str, *changes: Changed) -> None:
        """A change as the use cases write it, with its notice."""
        notice = notice_of(what, [one.after for one in changes], self.clock())
        extras = (Posting(notice),) if notice is not None else ()
        await self.store.write(Write("doc", changes, None, {}, None, extras))

    async def book(self, patient: str = "pat", starts_at: datetime = NINE) -> Appointment:
        self._made += 1
        made = booked(
            f"{self._made:026}",
            slot_at(starts_at),
            patient=Party(patient, "Pat"),
            # One of its own for each, so that no time is taken.
            doctor=Party(f"doc-{self._made}", "Dr. Who"),
            timezone="UTC",
            reason=None,
            actor=PAT,
            now=self.clock(),
        )
        await self.change("booked", Changed(None, made))
        return made

    async def move(self, one: Appointment, to: datetime) -> Appointment:
        later = moved(one, slot_at(to), timezone="UTC", actor=PAT, now=self.clock())
        await self.change("moved", Changed(one, later))
        return later

    async def turn(self, one: Appointment, status: Status) -> Appointment:
        after = with_status(one, status, actor=PAT, now=self.clock(), note=None)
        await self.change(status.value, Changed(one, after))
        return after

    @property
    def mails(self) -> list[tuple[str, str]]:
        """To whom each mail went, and what it was about."""
        return sorted((mail.to.partition("@")[0], mail.kind) for mail in self.mailer.sent)

    async def left(self) -> list[Notice]:
        """All that is in the outbox, whenever it is due."""
        entries = await self.store.read_outbox(self.clock() + timedelta(days=1000))
        return [read_notice(entry.text, entry.due_at) for entry in entries]


def slot_at(moment: datetime) -> Slot:
    start = int(moment.timestamp())
    claims = claims_of(start, start + 1800)
    return Slot(start, start + 1800, claims, claims)
