"""What the database is asked, and how busy its connections are: counted and traced."""

import re
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Any, Final

from prometheus_client import Gauge
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool

from servicekit.calls import Call, Calls, Result

DEADLOCK: Final = frozenset({1205, 1213})  # lock wait timeout, deadlock: begin again

_CALL: Final = "observed_call"
_CONNECT: Final = "CONNECT"
_VERB = re.compile(r"\s*([A-Za-z]+)")
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+[`\"]?(\w+)", re.IGNORECASE)


def code_of(error: DBAPIError) -> int:
    """The server's number of an error, 0 where it has none."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def classify(error: BaseException) -> Result:
    """What an exception of the driver, as SQLAlchemy raises it, means."""
    if isinstance(error, IntegrityError):
        return "refused"
    return "conflict" if isinstance(error, DBAPIError) and code_of(error) in DEADLOCK else "failed"


@lru_cache(maxsize=512)
def operation_of(statement: str) -> str:
    """What a statement is counted by: `SELECT users`, `COMMIT`; never its parameters."""
    verb, table = _VERB.match(statement), _TABLE.search(statement)
    words = [verb[1].upper() if verb else "OTHER"]
    if table is not None:
        words.append(table[1])
    return " ".join(words)


def observe(engine: Engine, calls: Calls) -> None:
    """Counts every statement of the engine, and every connection that couldn't be made."""

    @event.listens_for(engine, "before_cursor_execute")
    def _begin(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        call = calls.call(operation_of(statement))
        connection.info[_CALL] = call
        call.__enter__()

    @event.listens_for(engine, "after_cursor_execute")
    def _end(connection: Any, *_: Any) -> None:
        call: Call = connection.info.pop(_CALL)
        call.__exit__(None, None, None)

    @event.listens_for(engine, "handle_error")
    def _fail(context: ExceptionContext) -> None:
        if context.connection is None:
            return  # it couldn't be made, which `connected` sees
        error = context.sqlalchemy_exception or context.original_exception
        call: Call | None = context.connection.info.pop(_CALL, None)
        if call is not None:
            call.__exit__(type(error), error, None)


def connected(engine: Engine, calls: Calls) -> Connection:
    """A connection of the engine's; one that can't be made is counted, with the time it took."""
    began = perf_counter()
    try:
        return engine.connect()
    except BaseException as error:
        calls.ended(_CONNECT, calls.classify(error), perf_counter() - began)
        raise


def observe_pool(engine: Engine, calls: Calls, *, limit: int, waiting: Callable[[], float]) -> None:
    """`store_pool_…`: the connections there are, how many there may be, and who waits for one."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        raise TypeError(f"the connections of a {type(pool).__name__} can't be counted")

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"store_pool_{name}", text, ["store", *labels], registry=calls.registry)

    connections = gauge("connections", "Connections to the store", "state")
    connections.labels(calls.target, "in_use").set_function(pool.checkedout)
    connections.labels(calls.target, "idle").set_function(pool.checkedin)
    gauge("limit", "Connections at most").labels(calls.target).set(limit)
    gauge("waiting", "Who waits for a connection").labels(calls.target).set_function(waiting)
