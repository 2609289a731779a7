"""Reads the settings and runs the gateway until it is told to stop."""

import asyncio
import signal
import sys

import structlog
import uvloop
from pydantic import ValidationError

from gateway.app import CannotListenError, identity, run_gateway
from gateway.registry import BadTargetsFileError
from gateway.settings import Settings
from telemetry.logs import configure_logging
from telemetry.tracing import BadEndpointError, Tracing, open_tracing

BAD_SETTING = 2


def main() -> int:
    """Run; returns the exit code."""
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "GATEWAY_" + "_".join(str(part) for part in first["loc"]).upper()
        return _complain(f"{name}: {first['msg']}")
    names = identity(settings)
    configure_logging(**names)
    try:
        # Outside of the loop, which sending the last spans would keep from what it has to do.
        with open_tracing(**names) as tracing:
            uvloop.run(_serve(settings, tracing))
    except BadTargetsFileError as error:
        return _complain(f"GATEWAY_TARGETS_FILE: {error}")
    except (CannotListenError, BadEndpointError) as error:
        return _complain(str(error))
    return 0


async def _serve(settings: Settings, tracing: Tracing | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with run_gateway(settings, tracing=tracing) as gateway:
        loop.add_signal_handler(signal.SIGHUP, gateway.reload)
        structlog.get_logger().info(
            "listening", host=settings.host, port=gateway.port, admin_port=gateway.admin_port
        )
        await stop.wait()
    structlog.get_logger().info("stopped")


def _complain(message: str) -> int:
    print(f"gateway: {message}", file=sys.stderr)  # noqa: T201, the one line for whoever started it
    return BAD_SETTING


if __name__ == "__main__":
    sys.exit(main())
