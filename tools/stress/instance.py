"""One instance of the real appointments service over a stormy store, in this process or its own.

An instance's clock goes by what its callers say (a header), so that time passes with operations and
not with the machine. Requests are cancelled at random awaits, their connections dropped: what a
worker that is killed in mid-request leaves behind, but for what dies with its process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import zoneinfo
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random

import structlog
import uvloop
from aiohttp import web

from appointments_service.app import ANSWER_SECONDS, Store, create_app
from appointments_service.settings import Settings
from appointments_service.store_dynamodb import DynamoDBStore
from servicekit.aws import ObservedClient, open_client
from servicekit.calls import Calls
from servicekit.testing import FakeClock
from tools.stress.clinic import BASE, TABLE
from tools.stress.faults import StormyClient
from tools.stress.people import served

NOW_HEADER = "X-Stress-Now"
_CANCELLED = 0.02
_MOST_STEPS = 40

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Place:
    """Where an instance finds what it needs: the emulator, users, and its private key's file."""

    dynamodb: str
    users: str
    key_file: Path


@dataclass
class Instance:
    """A running instance.

    Attributes:
        cancelled: how many requests were cancelled in the midst.
    """

    url: str
    store: StormyClient | None = None
    cancelled: int = 0


@asynccontextmanager
async def instance(place: Place, random: Random) -> AsyncIterator[Instance]:
    """Runs an instance in this process until the context ends."""
    clock = FakeClock(BASE)
    running = Instance("")

    @asynccontextmanager
    async def open_store(settings: Settings, calls: Calls) -> AsyncIterator[Store]:
        async with open_client(
            "dynamodb",
            endpoint=settings.dynamodb_endpoint,
            region=settings.region,
            read_timeout=ANSWER_SECONDS,
        ) as client:
            running.store = StormyClient(client, random)
            yield DynamoDBStore(ObservedClient(running.store, calls), settings.table, calls.retried)
            await running.store.settle()

    app = create_app(
        Settings(
            jwks_url=f"{place.users}/.well-known/jwks.json",
            users_url=place.users,
            dynamodb_endpoint=place.dynamodb,
            table=TABLE,
            service_key_file=place.key_file,
        ),
        open_store=open_store,
        clock=clock,
    )

    @web.middleware
    async def told_the_time(request: web.Request, handler: Handler) -> web.StreamResponse:
        told = request.headers.get(NOW_HEADER)
        if told is not None:
            clock.now = max(clock.now, datetime.fromisoformat(told))
        return await handler(request)

    @web.middleware
    async def cut_short(request: web.Request, handler: Handler) -> web.StreamResponse:
        if random.random() >= _CANCELLED:
            return await handler(request)
        work = asyncio.ensure_future(handler(request))
        for _ in range(random.randrange(1, _MOST_STEPS)):
            await asyncio.wait([work], timeout=random.uniform(0, 0.0005))
        if work.done():
            return work.result()
        work.cancel()
        await asyncio.wait([work])
        running.cancelled += 1
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError

    app.middlewares.insert(0, cut_short)
    app.middlewares.insert(0, told_the_time)
    async with served(app) as url:
        running.url = url
        yield running


async def _serve(place: Place, seed: str) -> None:
    async with instance(place, Random(seed)) as running:
        print(json.dumps({"url": running.url}), flush=True)
        await asyncio.Event().wait()


def quiet_logs() -> None:
    """What the service logs of injected faults would bury what is found, and fill a pipe that
    nobody reads.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def main() -> None:
    """Runs an instance as a process of its own until it is killed; prints its address."""
    zoneinfo.reset_tzpath(())
    quiet_logs()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dynamodb")
    parser.add_argument("users")
    parser.add_argument("key_file", type=Path)
    parser.add_argument("seed")
    arguments = parser.parse_args()
    place = Place(arguments.dynamodb, arguments.users, arguments.key_file)
    uvloop.run(_serve(place, arguments.seed))


if __name__ == "__main__":
    main()
