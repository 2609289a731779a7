"""What is counted of the database, on both kinds of it."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from servicekit.calls import CallMetrics, Calls
from tests.servicekit.spans import KeptTracing
from users_service.errors import StoreUnavailableError
from users_service.store_mysql import classify
from users_service.store_mysql.database import Database, make_engine
from users_service.store_mysql.observed import operation_of


class Watched:
    """A database whose statements are counted."""

    def __init__(self, url: str, pool_size: int = 1) -> None:
        self.registry = CollectorRegistry()
        self.tracing = KeptTracing()
        calls = Calls(
            CallMetrics(self.registry, "store"), "db", classify=classify, tracing=self.tracing
        )
        self.database = Database(
            make_engine(url, pool_size=pool_size), pool_size=pool_size, calls=calls
        )

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"store": "db", **labels}) or 0.0

    def ended(self, operation: str, result: str) -> float:
        return self.value("store_calls_total", operation=operation, result=result)


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT a, b FROM users WHERE id = %s", "SELECT users"),
        ("select 1", "SELECT"),
        ("INSERT INTO refresh_tokens (a) VALUES (?)", "INSERT refresh_tokens"),
        ("UPDATE `users` SET a = 1", "UPDATE users"),
        ("DELETE FROM login_attempts WHERE x", "DELETE login_attempts"),
        ("SELECT x \nFROM users JOIN doctor_profiles ON y", "SELECT users"),
        ("START TRANSACTION", "START"),
        ("COMMIT", "COMMIT"),
        ("", "OTHER"),
    ],
)
def test_statements_are_counted_by_verb_and_table(statement: str, operation: str) -> None:
    assert operation_of(statement) == operation


async def test_statements_are_counted_and_traced(database_url: str) -> None:
    watched = Watched(database_url)
    await watched.database.fetch(text("SELECT email FROM users WHERE email = 'a@b.example'"))

    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(
                text(
                    "INSERT INTO used_assertions (service, token_digest, expires_at)"
                    " VALUES ('x', 'y', '2026-01-01')"
                )
            )

    with pytest.raises(IntegrityError):
        await watched.database.transaction(twice)
    assert watched.ended("SELECT users", "ok") == 1
    assert watched.ended("INSERT used_assertions", "ok") == 1
    assert watched.ended("INSERT used_assertions", "refused") == 1
    assert watched.ended("ROLLBACK", "ok") == 1
    assert watched.value("store_calls_in_flight") == 0
    assert "db SELECT users" in [span.name for span in watched.tracing.spans]
    assert all(span.is_ended and span.failure is None for span in watched.tracing.spans)
    assert "a@b.example" not in str(watched.tracing.spans)
    await watched.database.close()


async def test_the_pool_tells_who_uses_it_and_who_waits(database_url: str) -> None:
    watched = Watched(database_url)
    seen: list[tuple[float, float]] = []

    def look(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))
        in_use = watched.value("store_pool_connections", state="in_use")
        seen.append((in_use, watched.value("store_pool_waiting")))

    await asyncio.gather(*(watched.database.transaction(look) for _ in range(3)))
    assert seen == [(1, 2), (1, 1), (1, 0)]
    assert watched.value("store_pool_connections", state="in_use") == 0
    assert watched.value("store_pool_connections", state="idle") == 1
    assert watched.value("store_pool_limit") == 1
    await watched.database.close()


@pytest.mark.mysql
async def test_a_connection_that_cannot_be_made_is_counted(mysql_url: str) -> None:
    watched = Watched(make_url(mysql_url).set(port=1).render_as_string(hide_password=False))
    with pytest.raises(StoreUnavailableError):
        await watched.database.fetch(text("SELECT 1"))
    assert watched.ended("CONNECT", "failed") >= 1
    await watched.database.close()


@pytest.mark.mysql
async def test_a_deadlock_is_a_conflict_and_a_retry(mysql_url: str) -> None:
    watched = Watched(mysql_url)
    tries = 0

    def deadlock_once(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            connection.execute(text("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213"))

    await watched.database.transaction(deadlock_once)
    assert watched.value("store_retries_total", reason="conflict") == 1
    assert watched.ended("SIGNAL", "conflict") == 1
    await watched.database.close()


@pytest.mark.mysql
async def test_a_statement_that_is_given_up_has_failed(mysql_url: str) -> None:
    watched = Watched(mysql_url)
    sleeping = asyncio.create_task(watched.database.fetch(text("SELECT SLEEP(60)")))
    while not watched.value("store_calls_in_flight"):  # noqa: ASYNC110 - the metric is tested
        await asyncio.sleep(0.001)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    assert watched.value("store_calls_in_flight") == 0
    assert watched.ended("SELECT", "failed") == 1
    await watched.database.close()
