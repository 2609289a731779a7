"""The connections: opened once, kept warm, and given back whole.

Every connection is in autocommit, so that a single statement costs a single round trip; what is
more than one statement begins and commits for itself (`BEGIN IMMEDIATE` on SQLite, where a
transaction that reads first and writes later would otherwise meet another writer in between).

The engine is SQLAlchemy's own over an asynchronous driver, and what is said to it runs in a
greenlet that gives way to the loop wherever the driver waits: what `AsyncConnection.run_sync` does
as well. Going through `sqlalchemy.ext.asyncio` would take a greenlet for each step of a statement,
which is a fifth of its cost, and load the ORM: 6 MiB in every instance for nothing.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, Executable, Row, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.util import await_only, greenlet_spawn

from servicekit.calls import Calls, Result
from users_service.errors import StoreUnavailableError
from users_service.store_mysql.access import Access
from users_service.store_mysql.observed import classify, code_of, connected, observe, observe_pool

T = TypeVar("T")
Parameters = dict[str, Any] | Sequence[dict[str, Any]] | None

IDLE_SECONDS: Final = 5.0  # a connection that sat longer is asked whether it still lives
RECYCLE_SECONDS: Final = 1800  # below any server's wait_timeout
CONNECT_SECONDS: Final = 3
STATEMENT_SECONDS: Final = 10.0
LOCK_SECONDS: Final = 5.0  # for which SQLite waits for another that writes
_TRIES: Final = 5
_JOURNAL_PAUSE: Final = 0.05  # seconds

# No table or column of that name: the database is there, but not migrated yet.
_UNMIGRATED: Final = frozenset({1054, 1146})


def make_engine(url: str, *, pool_size: int, access: Access | None = None) -> Engine:
    """An engine whose pool opens connections when they are first needed, in a greenlet.

    Raises:
        ValueError: for an address of another kind of database.
        OSError: the bundle of certificates can't be read.
    """
    parsed = make_url(url)
    if parsed.drivername == "sqlite+aiosqlite":
        engine = _engine(parsed, pool_size, {"timeout": LOCK_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
    elif parsed.drivername == "mysql+aiomysql":
        arguments = {
            "charset": "utf8mb4",
            "connect_timeout": CONNECT_SECONDS,
            **(access or Access()).connect_arguments(),
        }
        engine = _engine(parsed, pool_size, arguments)
        event.listen(engine, "connect", _prepare_mysql)
        _ping_the_idle(engine)
    else:
        raise ValueError("the database is sqlite+aiosqlite:///PATH or mysql+aiomysql://…")
    return engine


def _engine(url: URL, pool_size: int, arguments: dict[str, Any]) -> Engine:
    return create_engine(
        url,
        connect_args=arguments,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,  # there is never anything to roll back: no round trip
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_SECONDS,
        pool_recycle=RECYCLE_SECONDS,
        hide_parameters=True,  # they hold personal data, and errors are logged
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    _write_ahead(connection)
    # Of what is erased no byte stays in the file (secure_delete).
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _write_ahead(connection: Any) -> None:
    """Of several that open a new database at once, one changes how its journal is kept.

    SQLite refuses that to the others at once, although it waits for every other lock.
    """
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            await_only(asyncio.sleep(_JOURNAL_PAUSE))
        else:
            return


def _prepare_mysql(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(
        "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
    )
    # Each statement sees what is committed, and no gap is locked: the writes compare and set.
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    cursor.close()


def _ping_the_idle(engine: Engine) -> None:
    """Instead of `pool_pre_ping`, which asks before every use and doubles the round trips.

    Under load no connection idles, and one that breaks is noticed by the statement that fails,
    which is repeated. After a pause the server or a firewall may have closed all of them.
    """

    @event.listens_for(engine, "checkin")
    def _stamp(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _ping(connection: Any, record: Any, _proxy: Any) -> None:
        now = time.monotonic()
        if now - record.info.get("idle_since", now) < IDLE_SECONDS:
            return
        dialect = engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the idle connection is gone") from error


class Database:
    """Runs statements, and tells a database that is away from a statement that is wrong.

    Args:
        calls: how its statements are counted; None for a command, which nobody asks.
    """

    def __init__(self, engine: Engine, *, pool_size: int, calls: Calls | None = None) -> None:
        self._engine = engine
        self._calls = calls
        if calls is not None:
            observe(engine, calls)
            observe_pool(engine, calls, limit=pool_size, waiting=lambda: self._waiting)
        # Waiting for a connection happens here, in order of arrival. The pool's own queue lets
        # newcomers overtake those who wait, some of them for seconds.
        self._turns = asyncio.Semaphore(pool_size)
        self._waiting = 0
        # SQLite has one writer at a time, and lets those who wait try again now and then: under
        # load some would never get it. Here they get it in order of arrival; only other processes
        # are met in the database itself.
        writers = 1 if engine.dialect.name == "sqlite" else pool_size
        self._writing = (asyncio.Semaphore(writers), self._turns)
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "START TRANSACTION"

    async def close(self) -> None:
        """Closes all connections."""
        await greenlet_spawn(self._engine.dispose)

    async def fetch(
        self, statement: Executable, parameters: Parameters = None
    ) -> Sequence[Row[Any]]:
        """The rows of one reading statement. Repeated on another connection if one breaks."""

        def read(connection: Connection) -> Sequence[Row[Any]]:
            return connection.execute(statement, parameters).fetchall()

        return await self._run(read, may_repeat=lambda: True, turns=(self._turns,))

    async def execute(self, statement: Executable, parameters: Parameters = None) -> int:
        """How many rows one writing statement matched. Raises IntegrityError.

        Never repeated: whether it counted before the connection broke, nobody knows.
        """

        def write(connection: Connection) -> int:
            return connection.execute(statement, parameters).rowcount

        return await self._run(write, may_repeat=lambda: False, turns=self._writing)

    async def transaction(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in a transaction, from the beginning again after a deadlock.

        Also again, once, on another connection if one breaks before the end is asked for: the
        server rolls back what it never heard the end of. What `work` raises rolls back; so it
        must have no effects but on the database.
        """
        ending = False

        def run(connection: Connection) -> T:
            nonlocal ending
            connection.exec_driver_sql(self._begin)
            try:
                result = work(connection)
            except Exception:
                # On a connection that broke there is nothing left to roll back.
                if not connection.invalidated:
                    connection.exec_driver_sql("ROLLBACK")
                raise
            except BaseException:
                # Given up in the middle of an answer: the connection can't be used any more.
                connection.invalidate()
                raise
            ending = True
            connection.exec_driver_sql("COMMIT")
            return result

        return await self._run(run, may_repeat=lambda: not ending, turns=self._writing)

    async def _run(
        self,
        work: Callable[[Connection], T],
        *,
        may_repeat: Callable[[], bool],
        turns: Sequence[asyncio.Semaphore],
    ) -> T:
        def run() -> T:
            with self._connect() as connection:
                return work(connection)

        for attempt in range(1, _TRIES + 1):
            try:
                async with asyncio.timeout(STATEMENT_SECONDS), self._turn(turns):
                    return await greenlet_spawn(run)
            except IntegrityError:
                raise
            except DBAPIError as error:
                if attempt < _TRIES and classify(error) == "conflict":
                    self._retried("conflict")
                    await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))
                elif attempt == 1 and error.connection_invalidated and may_repeat():
                    # All that idled is thrown away: the next try connects anew.
                    self._retried("failed")
                elif _is_away(error):
                    raise StoreUnavailableError("the database is away") from error
                else:
                    raise
            except (PoolTimeoutError, TimeoutError, OSError) as error:
                raise StoreUnavailableError("the database gave no answer in time") from error
        raise AssertionError("the last try returns or raises")

    def _connect(self) -> Connection:
        if self._calls is None:
            return self._engine.connect()
        return connected(self._engine, self._calls)

    @asynccontextmanager
    async def _turn(self, turns: Sequence[asyncio.Semaphore]) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self._waiting += 1
            try:
                for turn in turns:
                    await stack.enter_async_context(turn)
            finally:
                self._waiting -= 1
            yield

    def _retried(self, reason: Result) -> None:
        if self._calls is not None:
            self._calls.retried(reason)


class Part:
    """A part of the store: what it says to the database goes through this one object."""

    def __init__(self, database: Database) -> None:
        self._database = database


def _is_away(error: DBAPIError) -> bool:
    if isinstance(error, ProgrammingError | OperationalError) and code_of(error) in _UNMIGRATED:
        return True
    # The driver's other operational errors: refused, lost, shutting down, locked, disk full.
    return error.connection_invalidated or isinstance(error, OperationalError)
