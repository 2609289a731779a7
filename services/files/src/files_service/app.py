"""Where the parts are put together."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import aiohttp
from aiohttp import web

from files_service import __version__
from files_service.appointments import AppointmentsPeer
from files_service.handlers import FILES
from files_service.routes import OPERATIONS, PROBLEMS
from files_service.service import Files
from files_service.settings import Settings
from files_service.store import FileStore
from files_service.store_s3 import open_s3_store
from jwtverify import JWTVerifier, RemoteKeys
from servicekit.app import VERIFIER, build_app, calls_to_peer, calls_to_store
from servicekit.aws import classify
from servicekit.calls import Calls
from servicekit.health import HEALTH
from servicekit.peers import Peer

OpenStore = Callable[[Settings, Calls], AbstractAsyncContextManager[FileStore]]


def open_store_of(
    settings: Settings, calls: Calls | None = None
) -> AbstractAsyncContextManager[FileStore]:
    """The store that the settings name."""
    return open_s3_store(
        bucket=settings.bucket,
        region=settings.region,
        endpoint=settings.s3_endpoint,
        public_endpoint=settings.s3_public_endpoint,
        calls=calls,
    )


def utc_now() -> datetime:
    """The moment, aware."""
    return datetime.now(UTC)


def create_app(
    settings: Settings,
    *,
    open_store: OpenStore = open_store_of,
    clock: Callable[[], datetime] = utc_now,
) -> web.Application:
    """The service. Call it within a running event loop's process; it opens things at start-up."""

    async def open_parts(app: web.Application) -> AsyncIterator[None]:
        store_calls = calls_to_store(app, "s3", classify)
        # No cookies: a session with a jar would carry one answer's into another caller's request.
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            open_store(settings, store_calls) as store,
        ):
            keys = RemoteKeys(settings.jwks_url, session)
            app[VERIFIER] = JWTVerifier(
                issuer=settings.token_issuer,
                audience=settings.token_audience,
                keys=keys,
                clock=lambda: clock().timestamp(),
            )
            calls = calls_to_peer(app, "appointments")
            appointments = AppointmentsPeer(Peer(session, settings.appointments_url, calls=calls))
            app[FILES] = Files(
                store,
                appointments,
                retention=settings.retention,
                clock=clock,
                retried=lambda: store_calls.retried("conflict"),
            )
            app[HEALTH].checks.update(s3=store.check, appointments=appointments.check)
            yield
            await keys.aclose()

    return build_app(
        service="files",
        version=__version__,
        operations=OPERATIONS,
        problems=PROBLEMS,
        contexts=[open_parts],
        allowed_origins=settings.cors_origins,
        by_tls=settings.environment == "production",
    )
