"""All that is stored of a person, as one JSON document, piece by piece."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any, Final, Protocol

from servicekit.wire import format_instant
from users_service.domain.users import Role, User
from users_service.store import ExportStore

_AT_ONCE: Final = 8  # appointments that are asked about at the same time

Document = Mapping[str, Any]


class Neighbours(Protocol):
    """What the other services tell a person of themselves, by that person's own token.

    Every method may raise NeighbourUnavailableError.
    """

    async def appointments(
        self, token: str, cursor: str | None
    ) -> tuple[list[Document], str | None]:
        """A page of the caller's appointments, and the cursor to the next."""

    async def waitlist(self, token: str, cursor: str | None) -> tuple[list[Document], str | None]:
        """A page of the caller's entries of the waiting list, and the cursor to the next."""

    async def history(self, token: str, appointment_id: str) -> list[Document]:
        """All that happened to an appointment."""

    async def files(self, token: str, appointment_id: str) -> list[Document]:
        """The descriptions of an appointment's files."""


class Exports:
    """The use case of an export."""

    def __init__(
        self, store: ExportStore, neighbours: Neighbours, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._neighbours = neighbours
        self._clock = clock

    async def document(self, user: User, token: str) -> AsyncIterator[bytes]:
        """The document in pieces, each as large as what is kept of a few appointments.

        Appointments, and entries of the waiting list, are a patient's own. What a doctor or the
        staff may see is about others.

        Raises:
            NeighbourUnavailableError, StoreUnavailableError: before the document is whole.
        """
        doctor = await self._store.doctor_in_any_state(user.id)
        factor = await self._store.stored_second_factor(user.id)
        head = {
            "exported_at": self._clock(),
            "account": asdict(user),
            "doctor": asdict(doctor) if doctor is not None else None,
            "second_factor": asdict(factor) if factor is not None else None,
            "sessions": [asdict(session) for session in await self._store.stored_sessions(user.id)],
        }
        yield _encode(head)[:-1]
        is_patient = user.role is Role.PATIENT
        for name, found in (
            (b"waitlist", self._waitlist(token, is_patient)),
            (b"appointments", self._appointments(token, is_patient)),
        ):
            yield b',"%b":[' % name
            separator = b""
            async for one in found:
                yield separator + _encode(one)
                separator = b","
            yield b"]"
        yield b"}"

    async def _waitlist(self, token: str, is_patient: bool) -> AsyncIterator[Document]:
        cursor = None
        while is_patient:
            page, cursor = await self._neighbours.waitlist(token, cursor)
            for entry in page:
                yield entry
            if cursor is None:
                return

    async def _appointments(self, token: str, is_patient: bool) -> AsyncIterator[Document]:
        """Each appointment with its history and its files."""

        async def whole(appointment: Document) -> Document:
            history = await self._neighbours.history(token, appointment["id"])
            files = await self._neighbours.files(token, appointment["id"])
            return {**appointment, "history": history, "files": files}

        cursor = None
        while is_patient:
            page, cursor = await self._neighbours.appointments(token, cursor)
            for start in range(0, len(page), _AT_ONCE):
                for appointment in await _all(whole, page[start : start + _AT_ONCE]):
                    yield appointment
            if cursor is None:
                return


async def _all(
    work: Callable[[Document], Awaitable[Document]], documents: Sequence[Document]
) -> list[Document]:
    """The work on all of them at once, in their order; with one that fails, the others end."""
    tasks = [asyncio.ensure_future(work(document)) for document in documents]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _encode(document: Document) -> bytes:
    return json.dumps(document, ensure_ascii=False, default=_text).encode()


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")
