"""Mail: the port to whatever sends it, and an outbox that sends behind the answers.

What sends (`servicekit.mail_ses`) is a module of its own, since it loads the AWS client: a service
whose mail is off doesn't pay for it.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

log = structlog.get_logger()

WAITING: Final = 1000
"""Mails that wait at most; more are dropped, since a flood must not take the memory."""
SEND_SECONDS: Final = 10.0
"""For how long one try may take."""
GRACE_SECONDS: Final = 10.0
"""For how long a process that ends goes on with what it accepted."""
RESULTS: Final = ("sent", "refused", "unsent")
"""What becomes of a mail: taken, refused for its address, or given up."""
_SENDERS: Final = 4
_PAUSES: Final = (1.0, 5.0)  # seconds before the second try and the third

_control = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]").search


class MailError(Exception):
    """A mail that wasn't sent. The text says why, and never to whom."""


class MailRefusedError(MailError):
    """It isn't taken for this address, and trying again won't change that."""


class MailUnavailableError(MailError):
    """What sends mail is away, too busy, or not set up: later it may be sent."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in plain text to one address.

    Attributes:
        kind: what it is about, a word for logs.
        to: one address, as it was given; whether it can be reached, the mailer finds out.
        event: an iCalendar object with METHOD:PUBLISH, in UTF-8, to go along as a file.

    Raises:
        ValueError: the address or the subject would end its header.
    """

    kind: str
    to: str
    subject: str
    text: str
    event: bytes | None = None

    def __post_init__(self) -> None:
        """Nothing that a header is made of may begin another one (RFC 5322, 2.2)."""
        if _control(self.to) or _control(self.subject):
            raise ValueError("an address and a subject have no control characters")


class Mailer(Protocol):
    """What sends mail."""

    async def send(self, mail: Mail) -> None:
        """Returns when it was accepted for delivery. Raises MailError, one of its two kinds."""


@asynccontextmanager
async def opened_late(
    open_mailer: Callable[[], AbstractAsyncContextManager[Mailer]],
) -> AsyncIterator[Mailer]:
    """A mailer that is opened for its first mail, and closed at the end of the context.

    An instance that sends none pays for no client, and one that starts while what sends mail is
    away starts all the same.
    """
    async with AsyncExitStack() as stack:
        yield _LateMailer(lambda: stack.enter_async_context(open_mailer()))


class _LateMailer:
    """Implements Mailer."""

    def __init__(self, opened: Callable[[], Awaitable[Mailer]]) -> None:
        self._open = opened
        self._opening = asyncio.Lock()
        self._mailer: Mailer | None = None

    async def send(self, mail: Mail) -> None:
        async with self._opening:
            if self._mailer is None:
                self._mailer = await self._open()
        await self._mailer.send(mail)


class Outbox:
    """Accepts mails at once and sends them later: no answer waits for one, nor depends on it.

    It is kept in memory: what a process that is killed had not sent is lost, and whoever waits for
    the mail asks again.

    Args:
        mailer: None where mail is off; then nothing is sent, and the log says so.
        wait: sleeps so many seconds, between tries.
        ended: told what has become of each mail, one of RESULTS; of none where mail is off.
    """

    def __init__(
        self,
        mailer: Mailer | None,
        *,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        ended: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._mailer = mailer
        self._wait = wait
        self._ended = ended
        self._queue: asyncio.Queue[Mail] = asyncio.Queue(WAITING)

    def post(self, mail: Mail) -> None:
        """Takes a mail to be sent; never waits and never fails."""
        if self._mailer is None:
            log.info("mail is off", kind=mail.kind)
            return
        try:
            self._queue.put_nowait(mail)
        except asyncio.QueueFull:
            log.error("dropped a mail", kind=mail.kind, reason="too many wait already")
            self._ended("unsent")

    async def join(self) -> None:
        """Returns when all that was taken is sent or given up."""
        await self._queue.join()

    async def work(self) -> None:
        """Sends what is posted, one after another, until cancelled."""
        while True:
            mail = await self._queue.get()
            result = "unsent"
            try:
                result = await self._deliver(mail)
            except Exception:
                # A defect, and of one mail: those behind it are sent all the same.
                log.exception("could not send a mail", kind=mail.kind)
            finally:
                self._ended(result)
                self._queue.task_done()

    async def _deliver(self, mail: Mail) -> str:
        for pause in (*_PAUSES, None):
            try:
                await self._send(mail)
            except MailRefusedError as error:
                log.warning("a mail was refused", kind=mail.kind, reason=str(error))
                return "refused"
            except MailUnavailableError as error:
                if pause is None:
                    log.error("gave up a mail", kind=mail.kind, reason=str(error))
                    return "unsent"
                await self._wait(pause)
            else:
                return "sent"
        raise AssertionError("the last try has no pause after it")

    async def _send(self, mail: Mail) -> None:
        if self._mailer is None:
            raise MailUnavailableError("mail is off")
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._mailer.send(mail)
        except TimeoutError as error:
            raise MailUnavailableError("no answer in time") from error


@asynccontextmanager
async def open_outbox(
    mailer: Mailer | None,
    *,
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    grace: float = GRACE_SECONDS,
    ended: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Outbox]:
    """An outbox that sends until the end of the context, and then for `grace` seconds at most."""
    outbox = Outbox(mailer, wait=wait, ended=ended)
    tasks = [asyncio.create_task(outbox.work(), name="mail") for _ in range(_SENDERS)]
    try:
        yield outbox
    finally:
        try:
            async with asyncio.timeout(grace):
                await outbox.join()
        except TimeoutError:
            log.error("ended with mails unsent", seconds=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
