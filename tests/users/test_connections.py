"""How connections to SQLite are made, and what is left of one that couldn't be."""

import sqlite3
import threading
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import greenlet_spawn

from users_service.store_mysql.database import _prepare_sqlite, make_engine


class FakeConnection:
    """The driver's, of a database whose journal another connection is about to change."""

    def __init__(self, refusals: int, code: int) -> None:
        self.refusals = refusals
        self.code = code
        self.said: list[str] = []
        self.closed = 0

    def execute(self, statement: str) -> Self:
        """As a cursor it is good for nothing but to be closed."""
        self.said.append(statement)
        if len(self.said) <= self.refusals:
            error = sqlite3.OperationalError("refused")
            error.sqlite_errorcode = self.code
            raise error
        return self

    def close(self) -> None:
        self.closed += 1


async def test_what_another_locks_for_a_moment_is_asked_for_again() -> None:
    connection = FakeConnection(2, sqlite3.SQLITE_BUSY)
    await greenlet_spawn(_prepare_sqlite, connection, None)
    assert connection.said[:3] == ["PRAGMA journal_mode=WAL"] * 3
    assert len(set(connection.said)) == 4


async def test_another_refusal_is_one_and_the_connection_is_closed() -> None:
    connection = FakeConnection(1, sqlite3.SQLITE_READONLY)
    with pytest.raises(sqlite3.OperationalError, match="refused"):
        await greenlet_spawn(_prepare_sqlite, connection, None)
    assert connection.said == ["PRAGMA journal_mode=WAL"]
    assert connection.closed == 1


async def test_a_connection_that_could_not_be_made_leaves_no_thread(tmp_path: Path) -> None:
    """It would tell its loop how it ended, when that is closed already."""
    path = tmp_path / "users.db"
    path.write_bytes(b"no database, but long enough to look like one" * 100)
    before = set(threading.enumerate())
    engine = make_engine(f"sqlite+aiosqlite:///{path}", pool_size=1)
    # While the error is held, nothing that it reaches is collected.
    with pytest.raises(DBAPIError) as raised:
        await greenlet_spawn(engine.connect)
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(timeout=5)
    assert not any(thread.is_alive() for thread in left), raised
    await greenlet_spawn(engine.dispose)
