import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.app import Gateway, run_gateway
from gateway.settings import Settings
from telemetry.tracing import Tracing
from tests.gateway.support import DEADLINE, World

StartGateway = Callable[..., Awaitable[Gateway]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Test on the event loop that runs in production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.close()


@pytest.fixture
async def start_gateway(world: World) -> AsyncIterator[StartGateway]:
    """Start a gateway: `await start_gateway(users=[url], idle_timeout_seconds=1)`."""
    stack = AsyncExitStack()

    async def start(
        users: list[str] | None = None,
        appointments: list[str] | None = None,
        files: list[str] | None = None,
        tracing: Tracing | None = None,
        **settings: Any,
    ) -> Gateway:
        world.register(users=users or [], appointments=appointments or [], files=files or [])
        values = {"port": 0, "access_log": False, "targets_file": world.targets_file}
        gateway = run_gateway(Settings(**{**values, **settings}), tracing=tracing)
        return await stack.enter_async_context(gateway)

    yield start
    world.disconnect()
    await asyncio.wait_for(stack.aclose(), DEADLINE)


@pytest.fixture
def refusing_url(unused_tcp_port: int) -> str:
    return f"http://127.0.0.1:{unused_tcp_port}"


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A target that never takes a connection: its queue is full, so the kernel drops our SYN."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for filler in fillers:
            filler.close()
