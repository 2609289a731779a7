"""The migrations, up and down and up again, against the tables that the code has."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.util import greenlet_spawn

from tools.mysql import MySQLServer
from users_service.errors import StoreUnavailableError
from users_service.store_mysql.database import make_engine
from users_service.store_mysql.migrating import configuration, migrate
from users_service.store_mysql.tables import metadata


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
    server: MySQLServer = request.getfixturevalue("mysql_server")
    return server.url(server.new_database())


async def look(url: str) -> tuple[set[str], list[Any]]:
    """The tables that are there, and how they differ from the ones that the code has."""

    def inspected(connection: Connection) -> tuple[set[str], list[Any]]:
        tables = set(inspect(connection).get_table_names())
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return tables, list(compare_metadata(context, metadata))

    engine = make_engine(url, pool_size=1)

    def connected() -> tuple[set[str], list[Any]]:
        with engine.connect() as connection:
            return inspected(connection)

    try:
        return await greenlet_spawn(connected)
    finally:
        await greenlet_spawn(engine.dispose)


async def test_up_down_up_step_by_step(empty_url: str) -> None:
    revisions = [s.revision for s in ScriptDirectory.from_config(configuration()).walk_revisions()]
    await migrate(empty_url)
    for revision in [*revisions[1:], "base"]:
        await migrate(empty_url, revision)
        await migrate(empty_url)
        tables, differences = await look(empty_url)
        assert tables == {*metadata.tables, "alembic_version"}
        assert differences == []
        await migrate(empty_url, revision)
    tables, _ = await look(empty_url)
    assert tables == {"alembic_version"}


async def test_migrations_at_once_wait_for_each_other(empty_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(asyncio.run, migrate(empty_url)) for _ in range(3)))
    tables, _ = await look(empty_url)
    assert tables == {*metadata.tables, "alembic_version"}


@pytest.mark.mysql
async def test_all_text_on_mysql_compares_by_code_points(
    migrated_mysql: str, mysql_server: MySQLServer
) -> None:
    import pymysql

    with (
        pymysql.connect(
            host=mysql_server.host,
            port=mysql_server.port or 0,
            user=mysql_server.user,
            password=mysql_server.password,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT DISTINCT collation_name FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name <> 'alembic_version'"
            " AND collation_name IS NOT NULL",
            [migrated_mysql.rpartition("/")[2]],
        )
        assert cursor.fetchall() == (("utf8mb4_bin",),)


async def test_a_database_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError):
        await migrate(f"sqlite+aiosqlite:///{tmp_path}/no/such/folder/users.db")
    with pytest.raises(StoreUnavailableError):
        await migrate("mysql+aiomysql://u:p@127.0.0.1:1/users")
