"""Sending what is in the outbox: at least once, and but for a crash in the very moment, once."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from appointments_service.directory import Contacts
from appointments_service.domain.appointments import Appointment
from appointments_service.domain.notices import (
    Kind,
    Letter,
    Notice,
    read_notice,
    reminders_after,
    still_holding,
)
from appointments_service.errors import StoreUnavailableError, UsersUnavailableError
from appointments_service.outbox import Entry, OutboxStore
from servicekit.mail import Mail, Mailer, MailRefusedError, MailUnavailableError

log = structlog.get_logger()

LOOK_SECONDS: Final = 5.0
"""So often every instance looks for what is due; what it has written itself it sends at once."""
ATTEMPT_SECONDS: Final = 30.0
LEASE: Final = timedelta(seconds=90)
"""Longer than an attempt and the call of the store after it: nobody else tries meanwhile."""
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(minutes=10)
GIVE_UP: Final = timedelta(days=2)
RESULTS: Final = ("sent", "refused", "unsent", "gone", "stale")
"""What becomes of a notice: taken, refused for its address, given up, nobody's any more, or no
longer true."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What was to be sent and is not, as far as was looked.

    Attributes:
        oldest_due_at: when that was due which is overdue the longest, None for nothing.
    """

    pending: int
    oldest_due_at: datetime | None


Write = Callable[[Kind, Sequence[Appointment], str], Awaitable[Letter]]
"""Puts a notice of appointments in words, for somebody in a time zone."""


class Mailing:
    """Sends notices that are due; many instances may, each notice is one's at a time.

    Args:
        write: puts a notice in words.
        senders: how many are sent at once.
        due: set when something has become due.
        seen: told what is not sent, at each look.
        ended: told what has become of each notice: its kind, and one of RESULTS.
    """

    def __init__(
        self,
        store: OutboxStore,
        contacts: Contacts,
        mailer: Mailer,
        clock: Callable[[], datetime],
        *,
        write: Write,
        senders: int,
        due: asyncio.Event,
        seen: Callable[[Backlog], None] = lambda _: None,
        ended: Callable[[Kind, str], None] = lambda *_: None,
    ) -> None:
        self._store = store
        self._contacts = contacts
        self._mailer = mailer
        self._clock = clock
        self._write = write
        self._senders = asyncio.Semaphore(senders)
        self._due = due
        self._seen = seen
        self._ended = ended

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            self._due.clear()
            try:
                await self.work()
            except (StoreUnavailableError, ExceptionGroup) as error:
                log.warning("could not work on the outbox", reason=_reason(error))
            except Exception:
                # A defect. What is due is looked for again all the same.
                log.exception("could not work on the outbox")
            try:
                # Not all instances at one moment.
                async with asyncio.timeout(LOOK_SECONDS * random.uniform(0.8, 1.2)):
                    await self._due.wait()
            except TimeoutError:
                continue

    async def work(self) -> None:
        """Sends what is due now.

        Raises:
            StoreUnavailableError, ExceptionGroup: the store is away, or was for some entries; all
                others have had their turn.
        """
        while True:
            now = self._clock()
            # What waits for its next try isn't due, and is part of the backlog.
            entries = await self._store.read_outbox(now + LONGEST_PAUSE)
            self._seen(_backlog(entries, now))
            due = [entry for entry in entries if entry.next_try_at <= now]
            if not due:
                return
            random.shuffle(due)  # other instances have read the same
            tried = await asyncio.gather(
                *(self._take_turn(entry) for entry in due), return_exceptions=True
            )
            failed = [one for one in tried if isinstance(one, Exception)]
            if failed:
                raise ExceptionGroup("entries that the store kept from being sent", failed)

    async def _take_turn(self, entry: Entry) -> None:
        async with self._senders:
            until = self._clock() + LEASE
            taken = await self._store.postpone(entry, until, entry.attempts + 1)
            if taken is not None:  # else another instance has it
                await self._attempt(taken)

    async def _attempt(self, taken: Entry) -> None:
        """One attempt, and what follows from how it ended."""
        reason = "a defect"
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                notice = read_notice(taken.text, taken.due_at)
                result, told = await self._deliver(notice)
        except (UsersUnavailableError, MailUnavailableError, StoreUnavailableError) as error:
            reason = str(error)
        except TimeoutError:
            reason = "no end in time"
        except Exception:
            # Of this notice alone: it is tried again, and holds up no other.
            log.exception("could not send a notice")
        else:
            await self._store.settle(taken, reminders_after(notice, told, self._clock()))
            self._ended(notice.kind, result)
            return
        await self._put_off(taken, reason)

    async def _put_off(self, taken: Entry, reason: str) -> None:
        now = self._clock()
        if now >= taken.due_at + GIVE_UP:
            log.error("gave up a notice", reason=reason, attempts=taken.attempts)
            await self._store.settle(taken, [])
            self._ended(_kind(taken), "unsent")
            return
        pause = min(FIRST_PAUSE * 2 ** min(taken.attempts - 1, 10), LONGEST_PAUSE)
        log.warning("a notice is not sent yet", reason=reason, attempts=taken.attempts)
        await self._store.postpone(taken, now + pause, taken.attempts)

    async def _deliver(self, notice: Notice) -> tuple[str, list[Appointment]]:
        """What has become of a notice, and the appointments that may be reminded of."""
        keys = [key for key, _ in notice.about]
        found = await self._store.read_appointments(notice.patient_id, keys)
        told = still_holding(notice, {one.key: one for one in found}, self._clock())
        if not told:
            return "stale", []
        contact = await self._contacts.contact(notice.patient_id)
        if contact is None:
            log.info("a notice is nobody's any more", kind=notice.kind)
            return "gone", []
        letter = await self._write(notice.kind, told, contact.timezone)
        try:
            await self._mailer.send(_mail(notice.kind, contact.email, letter))
        except MailRefusedError as error:
            # Perhaps for all: the reminder finds out whether it was for the address.
            log.warning("a mail was refused", kind=notice.kind, reason=str(error))
            return "refused", told
        return "sent", told


def _mail(kind: Kind, to: str, letter: Letter) -> Mail:
    try:
        return Mail(kind, to, letter.subject, letter.text, letter.event)
    except ValueError:
        raise MailRefusedError("the address has control characters") from None


def _kind(entry: Entry) -> Kind:
    try:
        return read_notice(entry.text, entry.due_at).kind
    except ValueError:
        return Kind.BOOKED  # nobody can tell: it is counted as the most frequent


def _backlog(entries: Sequence[Entry], now: datetime) -> Backlog:
    overdue = [entry.due_at for entry in entries if entry.due_at <= now]
    return Backlog(len(overdue), min(overdue, default=None))


def _reason(error: Exception) -> str:
    return str(error.exceptions[0]) if isinstance(error, ExceptionGroup) else str(error)
