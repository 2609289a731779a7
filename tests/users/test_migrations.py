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


# What the code before revision 0002 says to each table, written down as it was then.
_BEFORE = (
    "INSERT INTO users (id, email, email_key, password_hash, full_name, name_key, role, timezone,"
    " phone, birth_date, status, version, created_at, updated_at) VALUES ('u1', 'a@b.example',"
    " 'a@b.example', 'hash', 'Ana', 'ana', 'doctor', 'UTC', NULL, NULL, 'active', 1,"
    " '2026-03-02 08:00:00', '2026-03-02 08:00:00')",
    "INSERT INTO doctor_profiles (user_id, specialty, specialty_key, bio, accepting_patients,"
    " version) VALUES ('u1', '', 'key', '', 1, 1)",
    "INSERT INTO refresh_families (id, user_id, created_at)"
    " VALUES ('f1', 'u1', '2026-03-02 08:00:00')",
    "INSERT INTO refresh_tokens (digest, family_id, number, spent_at, expires_at)"
    " VALUES ('d1', 'f1', 1, NULL, '2026-04-02 08:00:00')",
    "INSERT INTO login_attempts (address, email_digest, at)"
    " VALUES ('192.0.2.1', 'digest', '2026-03-02 08:00:00')",
    "INSERT INTO signing_keys (generation, key_id, public_pem, sealed, signs_from)"
    " VALUES (1, 'k1', 'pem', 'sealed', '2026-03-02 08:00:00')",
    "INSERT INTO services (name, scope, public_pem, updated_at)"
    " VALUES ('files', 'erase', 'pem', '2026-03-02 08:00:00')",
    "INSERT INTO used_assertions (service, token_digest, expires_at)"
    " VALUES ('files', 'digest', '2026-03-02 08:00:00')",
    "UPDATE users SET password_hash = 'other' WHERE id = 'u1' AND password_hash = 'hash'",
    "UPDATE users SET full_name = 'Bo', name_key = 'bo', status = 'active', version = 2"
    " WHERE id = 'u1' AND version = 1",
    "UPDATE doctor_profiles SET bio = 'bio', version = 2 WHERE user_id = 'u1' AND version = 1",
    "UPDATE refresh_tokens SET spent_at = '2026-03-02 08:00:00'"
    " WHERE digest = 'd1' AND spent_at IS NULL",
    "UPDATE refresh_families SET ended_at = '2026-03-02 08:00:00'"
    " WHERE id = 'f1' AND ended_at IS NULL",
    "UPDATE services SET scope = 'names:read' WHERE name = 'files'",
    "SELECT id, email, full_name, role, timezone, phone, birth_date, status, version, created_at,"
    " updated_at, password_hash, email_key FROM users WHERE email_key = 'a@b.example'",
    "SELECT u.id, full_name, specialty, bio, timezone, accepting_patients, d.version"
    " FROM doctor_profiles d JOIN users u ON d.user_id = u.id WHERE u.role = 'doctor'",
    "SELECT t.digest, t.family_id, t.number, t.expires_at, t.spent_at, f.ended_at, f.user_id"
    " FROM refresh_tokens t JOIN refresh_families f ON t.family_id = f.id WHERE t.digest = 'd1'",
    "SELECT email_digest, at FROM login_attempts WHERE address = '192.0.2.1' ORDER BY at DESC",
    "SELECT generation, key_id, public_pem, sealed, signs_from FROM signing_keys",
    "SELECT name, scope, public_pem FROM services WHERE name = 'files'",
    "DELETE FROM refresh_tokens WHERE expires_at < '2026-05-01 00:00:00'",
    "DELETE FROM refresh_families WHERE NOT EXISTS"
    " (SELECT 1 FROM refresh_tokens WHERE refresh_tokens.family_id = refresh_families.id)",
    "DELETE FROM login_attempts WHERE at < '2026-05-01 00:00:00'",
    "DELETE FROM used_assertions WHERE expires_at < '2026-05-01 00:00:00'",
)


async def test_the_version_before_works_beside_the_newest_revision(empty_url: str) -> None:
    await migrate(empty_url)
    engine = make_engine(empty_url, pool_size=1)

    def say() -> None:
        with engine.connect() as connection:
            for statement in _BEFORE:
                done = connection.exec_driver_sql(statement)
                count = len(done.fetchall()) if done.returns_rows else done.rowcount
                assert count == 1, statement

    try:
        await greenlet_spawn(say)
    finally:
        await greenlet_spawn(engine.dispose)
