"""Runs an application as a process that a load balancer can drain."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable

import structlog
import uvloop
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from servicekit.context import TRACING, logged_names
from servicekit.health import HEALTH, INSTANCE_ROUTES, METRICS
from servicekit.settings import ServiceSettings
from telemetry.logs import configure_logging
from telemetry.tracing import BadEndpointError, Tracing, open_tracing

log = structlog.get_logger()

# Longer than the load balancer's idle timeout (60 s), or it would meet closed connections: 502s.
KEEPALIVE_SECONDS = 75.0
# What an ALB lets pass: 16 K a line.
HEADER_LINE_BYTES = 16 * 1024
FINISH_SECONDS = 60.0
# What clients send, and aiohttp has answered.
NO_HTTP = (HttpProcessingError, web.RequestPayloadError)


def run(create_app: Callable[[], web.Application], settings: ServiceSettings, version: str) -> None:
    """Serves until SIGTERM or SIGINT, then drains and closes.

    The application is made inside of the running loop. Logs an event `listening` with the port.
    """
    service = type(settings).model_config.get("env_prefix", "").rstrip("_").lower()
    configure_logging(
        service=service,
        version=version,
        instance=settings.instance,
        level=settings.log_level,
        names=logged_names,
        harmless=NO_HTTP,
    )
    try:
        with open_tracing(service=service, version=version, instance=settings.instance) as tracing:
            uvloop.run(_serve(create_app, settings, tracing))
    except BadEndpointError as error:
        sys.stderr.write(f"bad settings: {error}\n")
        raise SystemExit(2) from None


async def _serve(
    create_app: Callable[[], web.Application], settings: ServiceSettings, tracing: Tracing | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    app = create_app()
    app[TRACING] = tracing
    runner = web.AppRunner(
        app,
        access_log=None,  # the `observe` middleware logs
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=FINISH_SECONDS,
        max_line_size=HEADER_LINE_BYTES,
        max_field_size=HEADER_LINE_BYTES,
    )
    await runner.setup()
    internal = await _serve_internal(app, settings.internal_port)
    try:
        site = web.TCPSite(
            runner, settings.host, settings.port, reuse_port=settings.reuse_port or None
        )
        await site.start()
        host, port = _address(runner)
        log.info("listening", host=host, port=port)
        await stop.wait()
        app[HEALTH].draining = True
        log.info("draining", seconds=settings.drain_seconds)
        # Nothing tells a target that its load balancer has seen it: it can only be given time.
        await asyncio.sleep(settings.drain_seconds)
    finally:
        await runner.cleanup()
        if internal is not None:
            await internal.cleanup()
    log.info("stopped")


async def _serve_internal(app: web.Application, port: int | None) -> web.AppRunner | None:
    if port is None:
        return None
    internal = web.Application()
    internal[HEALTH] = app[HEALTH]
    internal[METRICS] = app[METRICS]
    for path, handler in INSTANCE_ROUTES.items():
        internal.router.add_get(path, handler)
    runner = web.AppRunner(internal, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


def _address(runner: web.AppRunner) -> tuple[str, int]:
    host, port = runner.addresses[0][:2]
    return (socket.inet_ntoa(host) if isinstance(host, bytes) else str(host)), int(port)
