"""The gateway as a process, and what it logs."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.gateway.support import DEADLINE, World


async def start(world: World, collector: str = "", **settings: str) -> Process:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "GATEWAY_PORT": "0",
        "GATEWAY_TARGETS_FILE": str(world.targets_file),
        **{f"GATEWAY_{name.upper()}": value for name, value in settings.items()},
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stdout=PIPE, stderr=PIPE
    )


async def next_event(process: Process, name: str) -> dict[str, object]:
    """Read log lines up to an event of this name."""
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), DEADLINE):
        event: dict[str, object] = json.loads(line)
        if event["event"] == name:
            return event
    raise AssertionError(f"the log ended without {name}")


@asynccontextmanager
async def running(
    world: World, collector: str = "", **settings: str
) -> AsyncIterator[tuple[Process, int]]:
    """Run a gateway, which sends traces to a collector; gives the process and its port."""
    process = await start(world, collector, **settings)
    try:
        port = (await next_event(process, "listening"))["port"]
        assert isinstance(port, int)
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
