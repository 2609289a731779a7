"""The suite in one process: real services, a real gateway, a store and a database of their own."""

import base64
import itertools
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from appointments_service import app as appointments_app
from appointments_service.settings import Settings as AppointmentsSettings
from appointments_service.store_dynamodb import create_table
from gateway.app import run_gateway
from gateway.settings import Settings as GatewaySettings
from servicekit.aws import open_client
from users_service import app as users_app
from users_service.domain.users import Role
from users_service.service.accounts import NewAccount
from users_service.settings import UsersSettings

ADMIN = ("admin@clinic.example", "three blind mice run")

_tables = itertools.count(1)


@dataclass(frozen=True)
class Whole:
    """Where the suite is reached, and where it keeps appointments."""

    gateway: str
    emulator: str
    table: str


@pytest.fixture(name="whole")
async def whole_fixture(
    ministack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Whole]:
    """The whole suite but for files, with argon2 as cheap as it gets."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    table = f"replayed-{os.getpid()}-{next(_tables)}"
    async with AsyncExitStack() as stack:
        async with open_client("dynamodb", endpoint=ministack, region="us-east-1") as dynamodb:
            await create_table(dynamodb, table)
        users = await stack.enter_async_context(_users(tmp_path))
        targets = tmp_path / "targets.json"
        targets.write_text(json.dumps({"users": [users]}))
        gateway = await stack.enter_async_context(
            run_gateway(GatewaySettings(port=0, targets_file=targets, access_log=False))
        )
        address = f"http://127.0.0.1:{gateway.port}"
        appointments = await _serve(
            stack,
            appointments_app.create_app(
                AppointmentsSettings(
                    jwks_url=f"{address}/.well-known/jwks.json",
                    users_url=address,
                    dynamodb_endpoint=ministack,
                    table=table,
                )
            ),
        )
        targets.write_text(json.dumps({"users": [users], "appointments": [appointments]}))
        gateway.reload()
        yield Whole(address, ministack, table)


@asynccontextmanager
async def _users(directory: Path) -> AsyncIterator[str]:
    settings = UsersSettings.model_validate(
        {
            "database_url": f"sqlite+aiosqlite:///{directory / 'users.db'}",
            "sealing_key": base64.urlsafe_b64encode(bytes(range(32))).decode(),
            "argon2_time_cost": 1,
            "argon2_memory_kib": 8,
            "argon2_parallelism": 1,
        }
    )
    await users_app.migrate_database(settings)
    email, password = ADMIN
    admin = NewAccount(email=email, password=password, full_name="Staff", role=Role.ADMIN)
    async with (
        users_app.open_configured_store(settings) as store,
        users_app.open_use_cases(settings, store, users_app.now_utc) as use_cases,
    ):
        await use_cases.accounts.ensure(admin)
    async with AsyncExitStack() as stack:
        yield await _serve(stack, users_app.create_app(settings))


async def _serve(stack: AsyncExitStack, app: web.Application) -> str:
    server = await stack.enter_async_context(TestServer(app))
    return str(server.make_url("")).rstrip("/")
