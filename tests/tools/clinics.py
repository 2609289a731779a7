"""The real appointments service on a table of its own, for tests of what looks at its table."""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from appointments_service.app import Store, create_app
from appointments_service.settings import Settings
from appointments_service.store_dynamodb import DynamoDBStore, create_table
from jwtverify import StaticKeys
from servicekit.aws import open_client
from servicekit.calls import Calls
from servicekit.testing import FakeClock, TokenMint
from tests.appointments.conftest import Suite, forever
from tests.appointments.fakes import FakeUsers

_tables = itertools.count(1)
_mint = TokenMint()  # one key for all tests: making one takes a while


@pytest.fixture(name="clinic")
async def clinic_fixture(ministack: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Suite]:
    """The service as its callers meet it, and its table as an audit does."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    table = f"audited-{os.getpid()}-{next(_tables)}"
    users = FakeUsers()
    clock = FakeClock()
    async with (
        open_client("dynamodb", endpoint=ministack, region="us-east-1") as dynamodb,
        TestServer(users.app()) as users_server,
    ):
        await create_table(dynamodb, table)

        @asynccontextmanager
        async def open_store(_settings: Settings, _calls: Calls) -> AsyncIterator[Store]:
            yield DynamoDBStore(dynamodb, table)

        app = create_app(
            Settings(users_url=str(users_server.make_url("/"))),
            open_store=open_store,
            clock=clock,
            keys=StaticKeys(_mint.jwks),
            wait=forever,
        )
        client: TestClient[Any, Any]
        async with TestClient(TestServer(app)) as client:
            yield Suite(client, users, _mint, clock, dynamodb, table)
