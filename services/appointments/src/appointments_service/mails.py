"""Puts mailing together: what sends, what is counted of it, and the task that works on it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge

from appointments_service.directory import Contacts
from appointments_service.domain.appointments import Appointment
from appointments_service.domain.notices import Kind, Letter
from appointments_service.outbox import OutboxStore
from appointments_service.service.mailing import RESULTS, Backlog, Mailing
from appointments_service.settings import Settings
from servicekit.app import calls_to_store
from servicekit.aws import classify
from servicekit.health import METRICS
from servicekit.mail import Mailer, opened_late

OpenMailer = Callable[[Settings, web.Application], AbstractAsyncContextManager[Mailer]]

MAILS_DUE: Final = web.AppKey("mails_due", asyncio.Event)
"""Set when a notice was written: it is sent then, and not at the next look."""


@asynccontextmanager
async def open_ses_late(settings: Settings, app: web.Application) -> AsyncIterator[Mailer]:
    """SES, opened for the first mail."""
    async with opened_late(partial(_open_ses, settings, app)) as mailer:
        yield mailer


@asynccontextmanager
async def _open_ses(settings: Settings, app: web.Application) -> AsyncIterator[Mailer]:
    mail_ses = await asyncio.to_thread(import_module, "servicekit.mail_ses")
    async with mail_ses.open_ses(
        sender=settings.mail_from,
        region=settings.region,
        endpoint=settings.ses_endpoint,
        calls=calls_to_store(app, "ses", classify),
    ) as mailer:
        yield mailer


@asynccontextmanager
async def mailing(
    app: web.Application,
    settings: Settings,
    store: OutboxStore,
    contacts: Contacts,
    clock: Callable[[], datetime],
    open_mailer: OpenMailer,
) -> AsyncIterator[None]:
    """Sends notices until the end of the context, if this instance is to."""
    registry = app[METRICS].registry
    seen, ended = count_backlog(registry, clock), count_mails(registry)
    if not settings.mail_senders:
        yield
        return
    async with open_mailer(settings, app) as mailer:
        sending = Mailing(
            store,
            contacts,
            mailer,
            clock,
            write=_writer(settings),
            senders=settings.mail_senders,
            due=app[MAILS_DUE],
            seen=seen,
            ended=ended,
        )
        task = asyncio.create_task(sending.run(), name="mailing")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _writer(settings: Settings) -> Callable[[Kind, Sequence[Appointment], str], Any]:
    async def write(kind: Kind, told: Sequence[Appointment], timezone: str) -> Letter:
        # Babel takes 10 MiB and a while to load, so only who sends loads it, and in a thread.
        letters = await asyncio.to_thread(import_module, "appointments_service.domain.letters")
        letter: Letter = letters.letter_of(
            kind, told, timezone, locale=settings.mail_locale, base=settings.public_url
        )
        return letter

    return write


def count_mails(registry: CollectorRegistry) -> Callable[[Kind, str], None]:
    """What is told what has become of a notice: its kind, and one of RESULTS."""
    counter = Counter(
        "mails",
        "Mails by what they are about and what has become of them",
        ["kind", "result"],
        registry=registry,
    )
    for kind in Kind:  # each begins with 0
        for result in RESULTS:
            counter.labels(kind, result)
    return lambda kind, result: counter.labels(kind, result).inc()


def count_backlog(
    registry: CollectorRegistry, clock: Callable[[], datetime]
) -> Callable[[Backlog], None]:
    """What is told of the notices that are due and not sent, at each look."""
    pending = Gauge(
        "outbox_pending", "Notices that are due and not sent, as last looked", registry=registry
    )
    oldest = Gauge(
        "outbox_oldest_seconds",
        "Since that notice was due which is overdue the longest, 0 for none",
        registry=registry,
    )

    def see(backlog: Backlog) -> None:
        pending.set(backlog.pending)
        since = backlog.oldest_due_at
        # The age now and not at the look: where nobody can look any more, it goes on growing.
        oldest.set_function(lambda: (clock() - since).total_seconds() if since else 0.0)

    return see
