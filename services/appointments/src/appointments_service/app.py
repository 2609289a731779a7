"""The only place where the parts of this service are put together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import aiohttp
from aiohttp import web

from appointments_service import __version__
from appointments_service.counted import (
    count_changes,
    count_offers,
    count_rounds,
    count_violations,
    show_waiting,
)
from appointments_service.directory_users import UsersDirectory
from appointments_service.handlers.common import (
    BOOKINGS,
    CALENDARS,
    CLINIC,
    CLOCK,
    ERASING,
    SCHEDULES,
    SEARCHING,
    SERIES,
    WAITLIST,
)
from appointments_service.mails import MAILS_DUE, OpenMailer, mailing, open_ses_late
from appointments_service.outbox import OutboxStore
from appointments_service.routes import OPERATIONS, PROBLEMS
from appointments_service.service.answers import Answers
from appointments_service.service.auditing import Auditing
from appointments_service.service.bookings import Bookings
from appointments_service.service.calendars import Calendars
from appointments_service.service.changes import Changes
from appointments_service.service.erasing import Erasing
from appointments_service.service.filling import Filling, Wait
from appointments_service.service.hours import HoursCache
from appointments_service.service.parties import Parties
from appointments_service.service.schedules import Schedules
from appointments_service.service.searching import Searching
from appointments_service.service.series import SeriesOfAppointments
from appointments_service.service.waitlist import Waitlist
from appointments_service.settings import Settings
from appointments_service.store import AppointmentStore
from appointments_service.store_dynamodb import DynamoDBStore
from jwtverify import JWTVerifier, KeySource, RemoteKeys
from servicekit.app import VERIFIER, build_app, calls_to_peer, calls_to_store
from servicekit.aws import classify, open_client
from servicekit.calls import Calls
from servicekit.health import HEALTH, METRICS
from servicekit.ids import new_id
from servicekit.peers import Peer, ServiceTokens

SERVICE = "appointments"


class Store(AppointmentStore, OutboxStore, Protocol):
    """All that is kept."""


OpenStore = Callable[[Settings, Calls], AbstractAsyncContextManager[Store]]
Clock = Callable[[], datetime]

FILLING = web.AppKey("filling", Filling)

# Twice this and the pauses fit into what one call of the store may take in all, or a lost answer
# would never be asked for again.
ANSWER_SECONDS = 3.0


def utc_now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_dynamodb(settings: Settings, calls: Calls | None = None) -> AsyncIterator[Store]:
    """The store on the table that the settings name."""
    async with open_client(
        "dynamodb",
        endpoint=settings.dynamodb_endpoint,
        region=settings.region,
        calls=calls,
        read_timeout=ANSWER_SECONDS,
        # DynamoDB has no use for either, and asking costs every call.
        request_checksum_calculation="when_required",
        disable_request_compression=True,
    ) as client:
        retried = calls.retried if calls is not None else lambda _: None
        yield DynamoDBStore(client, settings.table, retried)


def create_app(
    settings: Settings,
    *,
    open_store: OpenStore = open_dynamodb,
    open_mailer: OpenMailer = open_ses_late,
    clock: Clock = utc_now,
    keys: KeySource | None = None,
    wait: Wait = asyncio.sleep,
) -> web.Application:
    """The application. Tests pass a store, a mailer, a clock and keys of their own.

    Args:
        wait: what passes the time between two looks at who waits.
    """

    async def connect(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        jar = aiohttp.DummyCookieJar()
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session,
            open_store(settings, calls_to_store(app, "dynamodb", classify)) as store,
        ):
            source = keys or RemoteKeys(settings.jwks_url, session)
            app[VERIFIER] = JWTVerifier(
                issuer=settings.token_issuer,
                audience=settings.token_audience,
                keys=source,
                clock=lambda: clock().timestamp(),
            )
            users = Peer(
                session,
                settings.users_url,
                settings.users_deadline_seconds,
                calls=calls_to_peer(app, "users"),
            )
            directory = _directory(settings, users, clock)
            hours = HoursCache(store, clock)
            clinic = ZoneInfo(settings.clinic_timezone)
            registry = app[METRICS].registry
            offers = count_offers(registry)
            filling = Filling(
                store,
                directory,
                hours,
                clock,
                longest=timedelta(minutes=settings.offer_minutes),
                offers=offers,
                seen=show_waiting(registry),
            )
            app[CLINIC] = clinic
            app[CLOCK] = clock
            app[SCHEDULES] = Schedules(store, directory, hours, clock, filling.poke)
            app[SEARCHING] = Searching(store, directory, hours, clock)
            due = app[MAILS_DUE] = asyncio.Event()
            mails = settings.mail != "off"
            changes = Changes(
                store,
                clock,
                clinic,
                count_changes(registry),
                freed=filling.poke,
                posted=due.set if mails else None,
            )
            booking = (changes, Answers(store, clock), Parties(directory), hours, new_id)
            app[BOOKINGS] = Bookings(*booking)
            app[SERIES] = SeriesOfAppointments(*booking)
            app[WAITLIST] = Waitlist(*booking, filling, offers)
            app[CALENDARS] = Calendars(store, directory, clock)
            app[ERASING] = Erasing(store, clock, filling.poke)
            app[FILLING] = filling
            app[HEALTH].checks["dynamodb"] = store.ping
            works = {"filling": filling.run}
            if settings.audit_seconds:
                auditing = Auditing(
                    store,
                    clock,
                    clinic,
                    new_id(clock()),
                    every=timedelta(seconds=settings.audit_seconds),
                    violated=count_violations(registry),
                    finished=count_rounds(registry),
                )
                works["auditing"] = auditing.run
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(_running(works, wait))
                if mails:
                    await stack.enter_async_context(
                        mailing(app, settings, store, directory, clock, open_mailer)
                    )
                yield

    return build_app(
        service=SERVICE,
        version=__version__,
        operations=OPERATIONS,
        problems=PROBLEMS,
        contexts=[connect],
        allowed_origins=settings.cors_origins,
        by_tls=settings.environment == "production",
    )


@asynccontextmanager
async def _running(
    works: Mapping[str, Callable[[Wait], Coroutine[None, None, None]]], wait: Wait
) -> AsyncIterator[None]:
    """Does what is done besides requests, until the end of the context.

    A write that is cut off by that end is whole or nothing, and other instances go on.
    """
    tasks = [asyncio.create_task(work(wait), name=name) for name, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def _directory(settings: Settings, users: Peer, clock: Clock) -> UsersDirectory:
    tokens = None
    if settings.service_key_file is not None:
        tokens = ServiceTokens(
            users,
            name=SERVICE,
            private_key=settings.service_key_file.read_text(),
            audience=settings.token_issuer,
            clock=lambda: clock().timestamp(),
        )
    return UsersDirectory(users, tokens)
