"""Puts the gateway together."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypedDict

import structlog

from gateway import __version__
from gateway.accesslog import AccessLog
from gateway.admin import Admin
from gateway.connections import Connection
from gateway.metrics import Metrics
from gateway.observer import Observer
from gateway.proxy import Proxy
from gateway.registry import BadTargetsFileError, TargetOptions, TargetRegistry
from gateway.settings import Settings
from gateway.targets import Thresholds
from routetable import TABLE, RouteTable
from telemetry.metrics import measured_loop_lag, new_registry
from telemetry.tracing import Tracing

log = structlog.get_logger()

NAME: Final = "gateway"  # in logs, metrics and traces
BACKLOG: Final = 1024  # connections that wait to be accepted; a burst of clients is not refused


class CannotListenError(Exception):
    """The gateway can't have the port it was told to listen on."""


class Identity(TypedDict):
    """What names this process wherever it tells something."""

    service: str
    version: str
    instance: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that takes requests."""

    settings: Settings
    registry: TargetRegistry
    port: int
    admin_port: int | None

    def reload(self) -> None:
        """Read the targets file now."""
        try:
            self.registry.load(self.settings.targets_file)
        except BadTargetsFileError as error:
            log.error("targets_file_refused", reason=str(error))


@asynccontextmanager
async def run_gateway(
    settings: Settings, table: RouteTable = TABLE, tracing: Tracing | None = None
) -> AsyncIterator[Gateway]:
    """Run a gateway; leaving the context finishes what is in flight.

    Raises:
        BadTargetsFileError: the targets file can't be read or used.
        CannotListenError: a port is in use, or the host is not this machine's.
    """
    registry = TargetRegistry(table.services, _options(settings))
    counts = new_registry(NAME, __version__)
    metrics = Metrics(counts, registry.groups)
    access_log = AccessLog(sys.stdout.buffer, identity(settings)) if settings.access_log else None
    proxy = Proxy(
        table,
        registry.groups,
        idle_timeout=settings.idle_timeout_seconds,
        observer=Observer(metrics, access_log, tracing),
    )
    admin = Admin(registry, metrics)
    servers: list[asyncio.Server] = []
    watcher: asyncio.Task[None] | None = None
    try:
        registry.load(settings.targets_file)
        watcher = asyncio.create_task(registry.watch(settings.targets_file))
        server = await _listen(proxy.connection, settings.host, settings.port, "GATEWAY_PORT")
        servers.append(server)
        admin_port = None
        if settings.admin_port is not None:
            admin_server = await _listen(
                admin.connection, settings.admin_host, settings.admin_port, "GATEWAY_ADMIN_PORT"
            )
            servers.append(admin_server)
            admin_port = _port(admin_server)
        async with measured_loop_lag(counts):
            yield Gateway(settings, registry, _port(server), admin_port)
    finally:
        for listening in servers:
            listening.close()
        await proxy.close()
        await admin.close()
        if watcher is not None:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        await registry.close()
        if access_log is not None:
            access_log.flush()


def identity(settings: Settings) -> Identity:
    """The names of a gateway with these settings."""
    return {"service": NAME, "version": __version__, "instance": settings.instance}


async def _listen(
    protocol: Callable[[], Connection], host: str, port: int, setting: str
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(protocol, host, port, backlog=BACKLOG)
    except OSError as error:
        # The event loop wraps the system's words in its own, which repeat the address.
        words = os.strerror(error.errno).lower() if error.errno else str(error)
        raise CannotListenError(f"{setting}: can't listen on {host}:{port}: {words}") from error


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def _options(settings: Settings) -> TargetOptions:
    return TargetOptions(
        algorithm=settings.algorithm,
        thresholds=Thresholds(settings.healthy_threshold, settings.unhealthy_threshold),
        interval=settings.health_interval_seconds,
        timeout=settings.health_timeout_seconds,
        idle_timeout=settings.idle_timeout_seconds,
        connect_timeout=settings.connect_timeout_seconds,
        deregistration_delay=settings.deregistration_delay_seconds,
    )
