"""The real app over real databases: SQLite always, MySQL or MariaDB where one is installed."""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pymysql
import pytest
from aiohttp.test_utils import TestServer
from pytest_aiohttp.plugin import AiohttpClient
from sqlalchemy.engine import make_url

from servicekit.testing import FakeClock
from tests.users.api import ADMIN_EMAIL, PASSWORD, Api
from tests.users.neighbours import FakeNeighbours
from tools.mysql import MySQLServer
from users_service.app import create_app, open_use_cases
from users_service.domain.users import Role
from users_service.service.accounts import NewAccount
from users_service.service.keys import KeyRing, Sealing
from users_service.settings import UsersSettings
from users_service.store_mysql import MySQLStore, open_store
from users_service.store_mysql.migrating import migrate
from users_service.store_mysql.tables import metadata, signing_keys

SEALING_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()

NAUGHTY_FILE = Path(__file__).parents[3] / "shared" / "vectors" / "blns.json"


@pytest.fixture(scope="session")
def naughty_strings() -> list[str]:
    """Read in place: the vectors are not part of the project."""
    if not NAUGHTY_FILE.exists():
        pytest.skip(f"{NAUGHTY_FILE} is not there")
    strings: list[str] = json.loads(NAUGHTY_FILE.read_text())
    assert len(strings) > 500
    return strings


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "template.db"
    asyncio.run(_prepare(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_mysql(mysql_server: MySQLServer) -> str:
    url = mysql_server.url(mysql_server.new_database())
    asyncio.run(_prepare(url))
    return url


async def _prepare(url: str) -> None:
    """Migrates, and makes the signing key: it takes a while, so all tests have the same."""
    await migrate(url)
    async with open_store(url, pool_size=1) as store:
        await KeyRing(store, Sealing(base64.urlsafe_b64decode(SEALING_KEY)), FakeClock()).ensure()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "users.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def mysql_url(migrated_mysql: str) -> Iterator[str]:
    yield migrated_mysql
    url = make_url(migrated_mysql)
    connection = pymysql.connect(
        host=url.host or "",
        port=url.port or 0,
        user=url.username,
        password=url.password or "",
        database=url.database,
        autocommit=True,
    )
    with connection, connection.cursor() as cursor:
        for table in reversed(metadata.sorted_tables):
            if table is signing_keys:
                continue
            cursor.execute(f"DELETE FROM {table.name}")  # noqa: S608 - our own names


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database, of both kinds in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def settings_for(url: str, **changes: Any) -> UsersSettings:
    """Settings with argon2 as cheap as it gets: its strength is not what these tests are about."""
    return UsersSettings.model_validate(
        {
            "database_url": url,
            "sealing_key": SEALING_KEY,
            "argon2_time_cost": 1,
            "argon2_memory_kib": 8,
            "argon2_parallelism": 1,
            **changes,
        }
    )


@pytest.fixture
def neighbours() -> FakeNeighbours:
    """The other services, for those whose settings name `neighbours_url`."""
    return FakeNeighbours()


@pytest.fixture
async def neighbours_url(neighbours: FakeNeighbours) -> AsyncIterator[str]:
    async with TestServer(neighbours.app()) as server:
        yield str(server.make_url(""))


@pytest.fixture
def settings(database_url: str) -> UsersSettings:
    return settings_for(database_url)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[MySQLStore]:
    async with open_store(database_url, pool_size=5) as opened:
        yield opened


Instance = Callable[[], Awaitable[Api]]


@pytest.fixture
def waits() -> list[float]:
    """For how long the service has waited, in seconds, each time that it would have."""
    return []


@pytest.fixture
def instance(
    settings: UsersSettings, clock: FakeClock, waits: list[float], aiohttp_client: AiohttpClient
) -> Instance:
    """Starts one more instance over the same database."""

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    async def start() -> Api:
        return Api(await aiohttp_client(create_app(settings, clock=clock, wait=wait)))

    return start


@pytest.fixture
async def api(settings: UsersSettings, clock: FakeClock, instance: Instance) -> Api:
    """An instance over a database with a first admin."""
    async with AsyncExitStack() as stack:
        url = settings.database_url.get_secret_value()
        store = await stack.enter_async_context(open_store(url, pool_size=1))
        use_cases = await stack.enter_async_context(open_use_cases(settings, store, clock))
        await use_cases.accounts.ensure(
            NewAccount(
                email=ADMIN_EMAIL, password=PASSWORD, full_name="First Admin", role=Role.ADMIN
            )
        )
    return await instance()
