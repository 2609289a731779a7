"""Puts the service together: the only place where the parts meet."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import Final

import aiohttp
import structlog
from aiohttp import web

from jwtverify import JWTVerifier
from servicekit.app import VERIFIER, build_app, calls_to_peer, calls_to_store
from servicekit.calls import Calls
from servicekit.health import HEALTH, METRICS
from servicekit.mail import Mailer, Outbox, open_outbox, opened_late
from servicekit.peers import Peer
from users_service import __version__
from users_service.counted import (
    count_erasures,
    count_mails,
    count_reuse,
    count_waiting_hashes,
)
from users_service.domain.keys import RegisteredService
from users_service.errors import StoreUnavailableError
from users_service.handlers.closing import EXPORTS
from users_service.handlers.common import USE_CASES, load_account
from users_service.neighbours import HTTPNeighbours
from users_service.routes import OPERATIONS, PROBLEMS
from users_service.sealing import read_sealing
from users_service.service import UseCases
from users_service.service.accounts import Accounts, Directory, Leases
from users_service.service.attempts import Attempts
from users_service.service.audit import Audit
from users_service.service.clients import Clients
from users_service.service.closing import Closing
from users_service.service.erasing import Erasing
from users_service.service.exports import Exports
from users_service.service.keys import FACTORS, KeyRing
from users_service.service.lines import Line
from users_service.service.mails import Mails, Post
from users_service.service.password_changes import PasswordChanges
from users_service.service.passwords import PasswordHasher
from users_service.service.registrations import Registrations
from users_service.service.rotation import Rotation
from users_service.service.second_factors import SecondFactors
from users_service.service.sessions import Sessions
from users_service.service.tokens import TokenIssuer
from users_service.settings import UsersSettings
from users_service.store import Store
from users_service.store_mysql import classify
from users_service.store_mysql import open_store as open_database
from users_service.store_mysql.access import Access

log = structlog.get_logger()

Clock = Callable[[], datetime]
Wait = Callable[[float], Awaitable[None]]
OpenStore = Callable[[UsersSettings, Calls], AbstractAsyncContextManager[Store]]
OpenMailer = Callable[[UsersSettings, web.Application], AbstractAsyncContextManager[Mailer | None]]

FORGET_SECONDS: Final = 3600.0
NEIGHBOUR_SECONDS: Final = 10.0

# What this service may do at the others; it issues the token itself, so it is registered nowhere.
_SELF: Final = RegisteredService("users", frozenset({"erase"}), "")


def now_utc() -> datetime:
    """The moment, aware."""
    return datetime.now(UTC)


def open_configured_store(
    settings: UsersSettings, calls: Calls | None = None
) -> AbstractAsyncContextManager[Store]:
    """The database that the settings name."""
    url = settings.database_url.get_secret_value()
    read_url = settings.database_read_url
    return open_database(
        url,
        pool_size=settings.database_pool_size,
        calls=calls,
        access=_access(settings),
        read_url=None if read_url is None else read_url.get_secret_value(),
    )


def _access(settings: UsersSettings) -> Access:
    passwords = None
    if settings.database_auth == "rds-iam":
        # AWS's client takes memory, so only where it is needed.
        from users_service.iam import rds_passwords

        passwords = rds_passwords(settings.region)
    return Access(settings.database_tls_ca, passwords)


@asynccontextmanager
async def open_configured_mailer(
    settings: UsersSettings, app: web.Application
) -> AsyncIterator[Mailer | None]:
    """What the settings say sends mail; None where it is off."""
    if settings.mail == "off":
        yield None
        return
    async with opened_late(partial(_open_ses, settings, app)) as mailer:
        yield mailer


@asynccontextmanager
async def _open_ses(settings: UsersSettings, app: web.Application) -> AsyncIterator[Mailer]:
    # The AWS client is a fifth of an instance's memory, so only who sends loads it. In a thread:
    # it takes long, and requests are answered meanwhile.
    mail_ses, aws = await asyncio.to_thread(
        lambda: (import_module("servicekit.mail_ses"), import_module("servicekit.aws"))
    )
    async with mail_ses.open_ses(
        sender=settings.mail_from,
        region=settings.region,
        endpoint=settings.ses_endpoint,
        calls=calls_to_store(app, "ses", aws.classify),
    ) as mailer:
        yield mailer


async def migrate_database(settings: UsersSettings) -> None:
    """Brings the database to the newest revision. Raises StoreUnavailableError."""
    # Alembic takes a while to import, and no serving process needs it.
    from users_service.store_mysql.migrating import migrate

    await migrate(settings.database_url.get_secret_value(), access=_access(settings))


@asynccontextmanager
async def open_use_cases(
    settings: UsersSettings,
    store: Store,
    clock: Clock,
    wait: Wait = asyncio.sleep,
    post: Post | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    reused: Callable[[], None] = lambda: None,
) -> AsyncIterator[UseCases]:
    """The use cases over a store; their threads live until the end of the context.

    Args:
        post: where mails are left; None for a command, which sends none.
        reused: told that a spent refresh token was presented again.

    Raises SealingKeyUnavailableError.
    """
    sealing = await read_sealing(settings)
    keys = KeyRing(store, sealing, clock, monotonic)
    audit = Audit(store, clock, kept=settings.audit_kept)
    tokens = TokenIssuer(
        keys, issuer=settings.token_issuer, audience=settings.token_audience, clock=clock
    )
    with PasswordHasher(
        time_cost=settings.argon2_time_cost,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        workers=settings.hash_workers,
    ) as passwords:
        attempts = Attempts(store, clock)
        factor_sealing = sealing.of(FACTORS)
        mails = Mails(store, post or Outbox(None), base=settings.public_url, clock=clock)
        factors = SecondFactors(store, passwords, attempts, factor_sealing, mails, clock, audit)
        leases = Leases(settings.doctor_lease_seconds, wait)
        sessions = Sessions(
            store,
            passwords,
            tokens,
            attempts,
            factors,
            refresh_key=sealing.refresh_key,
            lifetime=settings.refresh_token_lifetime,
            longest=settings.session_longest,
            clock=clock,
            audit=audit,
            reused=reused,
        )
        yield UseCases(
            accounts=Accounts(store, passwords, clock, leases, audit),
            directory=Directory(store, leases, audit),
            sessions=sessions,
            factors=factors,
            clients=Clients(store, tokens, clock, audit),
            keys=keys,
            rotation=Rotation(store, sealing, clock),
            line=Line(max(settings.hash_workers + 1, settings.database_pool_size // 2)),
            password_changes=PasswordChanges(store, passwords, sessions, mails, clock, audit),
            registrations=Registrations(
                store, passwords, mails, clock, audit, settings.confirms_registrations
            ),
            audit=audit,
            closing=Closing(store, clock, leases, audit),
            tokens=tokens,
        )


def create_app(
    settings: UsersSettings,
    *,
    open_store: OpenStore = open_configured_store,
    open_mailer: OpenMailer = open_configured_mailer,
    clock: Clock = now_utc,
    wait: Wait = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> web.Application:
    """The service as an application; what it needs is opened when it starts.

    Starting raises UnreadableKeyError where the sealing key is not the database's, and
    SealingKeyUnavailableError where it can't be read from where it is kept. A database
    that is away is no reason not to start: it is asked again when it is needed.
    """

    async def everything(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            calls = calls_to_store(app, settings.database_kind, classify)
            store = await stack.enter_async_context(open_store(settings, calls))
            mailer = await stack.enter_async_context(open_mailer(settings, app))
            registry = app[METRICS].registry
            outbox = await stack.enter_async_context(
                open_outbox(mailer, wait=wait, ended=count_mails(registry))
            )
            reused = count_reuse(registry)
            use_cases = await stack.enter_async_context(
                open_use_cases(settings, store, clock, wait, outbox, monotonic, reused)
            )
            app[USE_CASES] = use_cases
            app[VERIFIER] = JWTVerifier(
                issuer=settings.token_issuer,
                audience=settings.token_audience,
                keys=use_cases.keys,
                clock=lambda: clock().timestamp(),
            )
            app[HEALTH].checks["database"] = store.ping
            count_waiting_hashes(registry, lambda: use_cases.line.waiting)
            try:
                await use_cases.keys.ensure()
            except StoreUnavailableError as error:
                log.warning("started without the database", reason=str(error))
            await stack.enter_async_context(_forgetting(store, use_cases.audit, clock))
            neighbours = await stack.enter_async_context(_neighbours(app, settings, use_cases))
            app[EXPORTS] = Exports(store, neighbours, clock)
            await stack.enter_async_context(_erasing(app, store, neighbours, clock))
            yield

    return build_app(
        service="users",
        version=__version__,
        operations=OPERATIONS,
        problems=PROBLEMS,
        contexts=[everything],
        check_caller=load_account,
        allowed_origins=settings.cors_origins,
        by_tls=settings.environment == "production",
    )


@asynccontextmanager
async def _forgetting(store: Store, audit: Audit, clock: Clock) -> AsyncIterator[None]:
    """Deletes what is over, about every hour; not all instances at one moment."""

    async def forget() -> None:
        while True:
            await asyncio.sleep(FORGET_SECONDS * random.uniform(0.5, 1.5))
            try:
                log.info("forgot what is over", rows=await store.forget(clock()))
                log.info("forgot entries of the audit log", rows=await audit.forget())
            except StoreUnavailableError as error:
                log.warning("could not forget what is over", reason=str(error))

    task = asyncio.create_task(forget(), name="forgetting")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _neighbours(
    app: web.Application, settings: UsersSettings, use_cases: UseCases
) -> AsyncIterator[HTTPNeighbours]:
    """The other services, by connections that live until the end of the context."""

    async def token() -> str:
        return (await use_cases.tokens.for_service(_SELF)).text

    # No cookies: a session with a jar would carry one answer's into another caller's request.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        def peer(name: str, url: str) -> Peer:
            return Peer(session, url, NEIGHBOUR_SECONDS, calls=calls_to_peer(app, name))

        yield HTTPNeighbours(
            peer("appointments", settings.appointments_url),
            peer("files", settings.files_url),
            token,
        )


@asynccontextmanager
async def _erasing(
    app: web.Application, store: Store, neighbours: HTTPNeighbours, clock: Clock
) -> AsyncIterator[None]:
    """Erases at the other services what they keep of closed accounts."""
    erasing = Erasing(
        store,
        neighbours,
        clock,
        due=app[USE_CASES].closing.erasures_due,
        seen=count_erasures(app[METRICS].registry, clock),
    )
    task = asyncio.create_task(erasing.run(), name="erasing")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
