"""How connections to SQLite are made, and who writes when."""

import asyncio
import sqlite3
from typing import Self

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.util import greenlet_spawn

from users_service.store_mysql.database import Database, _prepare_sqlite, make_engine


class FakeConnection:
    """The driver's, of a database whose journal another connection is about to change."""

    def __init__(self, refusals: int, code: int) -> None:
        self.refusals = refusals
        self.code = code
        self.said: list[str] = []

    def execute(self, statement: str) -> Self:
        """As a cursor it is good for nothing but to be closed."""
        self.said.append(statement)
        if len(self.said) <= self.refusals:
            error = sqlite3.OperationalError("refused")
            error.sqlite_errorcode = self.code
            raise error
        return self

    def close(self) -> None:
        """A cursor is closed."""


async def test_what_another_locks_for_a_moment_is_asked_for_again() -> None:
    connection = FakeConnection(2, sqlite3.SQLITE_BUSY)
    await greenlet_spawn(_prepare_sqlite, connection, None)
    assert connection.said[:3] == ["PRAGMA journal_mode=WAL"] * 3
    assert len(set(connection.said)) == 4


async def test_another_refusal_is_one() -> None:
    connection = FakeConnection(1, sqlite3.SQLITE_READONLY)
    with pytest.raises(sqlite3.OperationalError, match="refused"):
        await greenlet_spawn(_prepare_sqlite, connection, None)
    assert connection.said == ["PRAGMA journal_mode=WAL"]


async def test_writers_come_in_order_of_arrival_and_none_meets_another(sqlite_url: str) -> None:
    database = Database(make_engine(sqlite_url, pool_size=10), pool_size=10)
    begun: list[int] = []
    writing = 0

    def work(connection: Connection, number: int) -> None:
        nonlocal writing
        writing += 1
        begun.append(number)
        assert writing == 1
        for _ in range(3):  # gives way to the loop each time
            connection.execute(text("SELECT COUNT(*) FROM users"))
        writing -= 1

    async def write(number: int) -> None:
        await database.transaction(lambda connection: work(connection, number))

    try:
        await asyncio.gather(*(write(number) for number in range(40)))
    finally:
        await database.close()
    assert begun == list(range(40))
