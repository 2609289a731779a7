"""The connections: opened once, kept warm, and given back whole.

Every connection is in autocommit, so that a single statement costs a single round trip; what is
more than one statement begins and commits for itself (`BEGIN IMMEDIATE` on SQLite, where a
transaction that reads first and writes later would otherwise meet another writer in between).
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Executable, Row, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from users_service.errors import StoreUnavailableError

T = TypeVar("T")
Parameters = dict[str, Any] | Sequence[dict[str, Any]] | None

IDLE_SECONDS: Final = 5.0  # a connection that sat longer is asked whether it still lives
RECYCLE_SECONDS: Final = 1800  # below any server's wait_timeout
CONNECT_SECONDS: Final = 3
STATEMENT_SECONDS: Final = 10.0
_TRIES: Final = 5

_DEADLOCK: Final = frozenset({1205, 1213})  # lock wait timeout, deadlock: begin again
# No table or column of that name: the database is there, but not migrated yet.
_UNMIGRATED: Final = frozenset({1054, 1146})


def make_engine(url: str, *, pool_size: int) -> AsyncEngine:
    """An engine whose pool opens connections when they are first needed.

    Raises:
        ValueError: for an address of another kind of database.
    """
    parsed = make_url(url)
    if parsed.drivername == "sqlite+aiosqlite":
        engine = _engine(parsed, pool_size, {"timeout": 5.0})
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    elif parsed.drivername == "mysql+aiomysql":
        arguments = {"charset": "utf8mb4", "connect_timeout": CONNECT_SECONDS}
        engine = _engine(parsed, pool_size, arguments)
        event.listen(engine.sync_engine, "connect", _prepare_mysql)
        _ping_the_idle(engine)
    else:
        raise ValueError("the database is sqlite+aiosqlite:///PATH or mysql+aiomysql://…")
    return engine


def _engine(url: URL, pool_size: int, arguments: dict[str, Any]) -> AsyncEngine:
    return create_async_engine(
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
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _prepare_mysql(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(
        "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
    )
    # Each statement sees what is committed, and no gap is locked: the writes compare and set.
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    cursor.close()


def _ping_the_idle(engine: AsyncEngine) -> None:
    """Instead of `pool_pre_ping`, which asks before every use and doubles the round trips.

    Under load no connection idles, and one that breaks is noticed by the statement that fails,
    which is repeated. After a pause the server or a firewall may have closed all of them.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def _stamp(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _ping(connection: Any, record: Any, _proxy: Any) -> None:
        now = time.monotonic()
        if now - record.info.get("idle_since", now) < IDLE_SECONDS:
            return
        dialect = engine.sync_engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the idle connection is gone") from error


class Database:
    """Runs statements, and tells a database that is away from a statement that is wrong."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "START TRANSACTION"

    async def fetch(
        self, statement: Executable, parameters: Parameters = None
    ) -> Sequence[Row[Any]]:
        """The rows of one reading statement. Repeated on another connection if one breaks."""

        async def read(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(statement, parameters)).fetchall()

        return await self._run(read, repeatable=True)

    async def execute(self, statement: Executable, parameters: Parameters = None) -> int:
        """How many rows one writing statement matched. Raises IntegrityError."""

        async def write(connection: AsyncConnection) -> int:
            return (await connection.execute(statement, parameters)).rowcount

        return await self._run(write, repeatable=False)

    async def transaction(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Runs `work` in a transaction, from the beginning again after a deadlock.

        What `work` raises rolls back; so it must have no effects but on the database.
        """

        async def run(connection: AsyncConnection) -> T:
            await connection.exec_driver_sql(self._begin)
            try:
                result = await work(connection)
            except Exception:
                # On a connection that broke there is nothing left to roll back.
                if not connection.invalidated:
                    await connection.exec_driver_sql("ROLLBACK")
                raise
            except BaseException:
                # Given up in the middle of an answer: the connection can't be used any more.
                await connection.invalidate()
                raise
            await connection.exec_driver_sql("COMMIT")
            return result

        return await self._run(run, repeatable=False)

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[T]], *, repeatable: bool) -> T:
        for attempt in range(1, _TRIES + 1):
            try:
                async with asyncio.timeout(STATEMENT_SECONDS), self._engine.connect() as connection:
                    return await work(connection)
            except IntegrityError:
                raise
            except DBAPIError as error:
                if attempt < _TRIES and _is_deadlock(error):
                    await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))
                elif attempt == 1 and repeatable and error.connection_invalidated:
                    pass  # all that idled is thrown away: the next try connects anew
                elif _is_away(error):
                    raise StoreUnavailableError("the database is away") from error
                else:
                    raise
            except (PoolTimeoutError, TimeoutError, OSError) as error:
                raise StoreUnavailableError("the database gave no answer in time") from error
        raise AssertionError("the last try returns or raises")


class Part:
    """A part of the store: what it says to the database goes through this one object."""

    def __init__(self, database: Database) -> None:
        self._database = database


def _code(error: DBAPIError) -> int:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _is_deadlock(error: DBAPIError) -> bool:
    return _code(error) in _DEADLOCK


def _is_away(error: DBAPIError) -> bool:
    if isinstance(error, ProgrammingError | OperationalError) and _code(error) in _UNMIGRATED:
        return True
    # The driver's other operational errors: refused, lost, shutting down, locked, disk full.
    return error.connection_invalidated or isinstance(error, OperationalError)
