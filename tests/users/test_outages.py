"""A database that goes away and comes back, breaks connections, or finds a deadlock."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from pytest_aiohttp.plugin import AiohttpClient
from sqlalchemy import Connection, text
from sqlalchemy.util import await_only

from servicekit.testing import FakeClock, TokenMint
from tests.users.api import PASSWORD, Api
from tests.users.conftest import settings_for
from tests.users.test_store import make, noted
from tools.mysql import MySQLServer
from users_service.app import create_app
from users_service.store_mysql import MySQLStore, open_store
from users_service.store_mysql import database as database_module
from users_service.store_mysql.database import Database, make_engine

pytestmark = pytest.mark.mysql


@pytest.fixture
def server(mysql_server: MySQLServer) -> Iterator[MySQLServer]:
    """The server, running again for those who come after."""
    yield mysql_server
    mysql_server.stop()
    mysql_server.start()


async def stop(server: MySQLServer) -> None:
    await asyncio.to_thread(server.stop)


async def start(server: MySQLServer) -> None:
    # Not in a thread: the server ends with the thread that started it.
    server.start()


async def check_away(api: Api, token: str) -> None:
    registration = {"email": "a@b.example", "password": PASSWORD, "full_name": "x"}
    refresh = {"refresh_token": "x"}
    for method, path, body in (
        ("GET", "/v1/users/me", None),
        ("GET", "/v1/doctors", None),
        ("PATCH", "/v1/users/me", {"full_name": "x"}),
        ("POST", "/v1/auth/register", registration),
        ("POST", "/v1/auth/login", {"email": "a@b.example", "password": "x"}),
        ("POST", "/v1/auth/refresh", refresh),
        ("POST", "/v1/auth/logout", refresh),
    ):
        response = await api.refused(503, "store_unavailable", method, path, body, by=token)
        assert int(response.headers["Retry-After"]) > 0
    assert (await api.call("GET", "/health")).status == 200
    dependencies = await api.call("GET", "/health/dependencies")
    assert dependencies.status == 503
    assert (await dependencies.json())["dependencies"][0]["name"] == "database"


async def test_while_the_database_is_away_and_after(
    server: MySQLServer, mysql_url: str, clock: FakeClock, aiohttp_client: AiohttpClient
) -> None:
    api = Api(await aiohttp_client(create_app(settings_for(mysql_url), clock=clock)))
    ana = await api.patient()
    await stop(server)
    await check_away(api, ana.token)
    await api.ok("GET", "/.well-known/jwks.json")
    await start(server)
    assert (await api.ok("GET", "/v1/users/me", by=ana))["id"] == ana.id
    await api.patient()
    assert (await api.call("GET", "/health/dependencies")).status == 200


async def test_a_restart_between_two_requests_is_not_noticed(
    server: MySQLServer, mysql_url: str, clock: FakeClock, aiohttp_client: AiohttpClient
) -> None:
    api = Api(await aiohttp_client(create_app(settings_for(mysql_url), clock=clock)))
    ana = await api.patient()
    await stop(server)
    await start(server)
    await api.ok("GET", "/v1/users/me", by=ana)
    await stop(server)
    await start(server)
    await api.ok("POST", "/v1/auth/refresh", {"refresh_token": ana.refresh})
    await stop(server)
    await start(server)
    await api.ok("PATCH", "/v1/users/me", {"full_name": "B"}, by=ana)


async def test_an_instance_starts_without_its_database(
    server: MySQLServer, mysql_url: str, clock: FakeClock, aiohttp_client: AiohttpClient
) -> None:
    token = TokenMint().token("someone", "patient", at=clock())
    await stop(server)
    api = Api(await aiohttp_client(create_app(settings_for(mysql_url), clock=clock)))
    for path in ("/v1/doctors", "/.well-known/jwks.json"):
        await api.refused(503, "store_unavailable", "GET", path)
    await api.refused(503, "keys_unavailable", "GET", "/v1/users/me", by=token)
    await start(server)
    await api.ok("GET", "/.well-known/jwks.json")
    await api.patient()


async def test_a_database_without_tables_is_no_defect_of_the_caller(
    mysql_server: MySQLServer, clock: FakeClock, aiohttp_client: AiohttpClient
) -> None:
    url = mysql_server.url(mysql_server.new_database())
    api = Api(await aiohttp_client(create_app(settings_for(url), clock=clock)))
    await api.refused(503, "store_unavailable", "GET", "/v1/doctors")
    assert (await api.call("GET", "/health/dependencies")).status == 503


async def test_connections_that_idled_are_asked_first(
    mysql_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that also what may not be repeated meets a connection that lives."""
    monkeypatch.setattr(database_module, "IDLE_SECONDS", 0.0)
    async with open_store(mysql_url, pool_size=2) as store, open_store(mysql_url, pool_size=1) as o:
        user = make(clock)
        await store.add_user(user, "first", noted(clock))
        await _kill_others(o)
        await store.change_password_hash(user.id, "first", "second")
        credentials = await store.credentials(user.email)
        assert credentials is not None
        assert credentials.password_hash == "second"


async def _kill_others(store: MySQLStore) -> None:
    """Ends all other connections of this user at the server."""
    database = store._database
    rows = await database.fetch(
        text(
            "SELECT id FROM information_schema.processlist"
            " WHERE user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1) AND id <> CONNECTION_ID()"
        )
    )
    assert rows
    for row in rows:
        await database.execute(text(f"KILL {int(row[0])}"))


async def test_a_deadlock_is_tried_again(mysql_url: str, clock: FakeClock) -> None:
    async with open_store(mysql_url, pool_size=1) as store:
        users = [make(clock), make(clock)]
        for user in users:
            await store.add_user(user, "", noted(clock))
    database = Database(make_engine(mysql_url, pool_size=2), pool_size=2)
    both_hold_one = asyncio.Barrier(2)
    tries = {"first": 0, "second": 0}

    def lock_both(name: str, ids: list[str]) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            tries[name] += 1
            update = text("UPDATE users SET full_name = CONCAT(full_name, '+') WHERE id = :id")
            connection.execute(update, {"id": ids[0]})
            if tries[name] == 1:
                await_only(both_hold_one.wait())
            connection.execute(update, {"id": ids[1]})

        return work

    ids = [user.id for user in users]
    await asyncio.gather(
        database.transaction(lock_both("first", ids)),
        database.transaction(lock_both("second", ids[::-1])),
    )
    assert sum(tries.values()) == 3
    rows = await database.fetch(text("SELECT full_name FROM users"))
    assert {row[0] for row in rows} == {"Ana Silva++"}
    await database.close()
