"""A refresh token gives at most one successor (invariant 6), over users' database.

One statement, which both MySQL and SQLite answer from one moment: nothing has to be looked at
again. Tokens of a family are numbered, each number once (the table's own constraint), and only the
last may be unspent: another one would be a second successor, or have one already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, case, func, or_, select
from sqlalchemy.util import greenlet_spawn

from appointments_service.domain.invariants import Breach
from users_service.store_mysql.database import make_engine
from users_service.store_mysql.tables import refresh_tokens

SESSION = 6

_t = refresh_tokens.c
_unspent = func.count(case((_t.spent_at.is_(None), 1))).label("unspent")
_last = func.max(_t.number).label("last")
_last_unspent = func.max(case((_t.spent_at.is_(None), _t.number))).label("last_unspent")

_COUNTS = select(func.count(), func.count(_t.family_id.distinct())).select_from(refresh_tokens)
_WRONG = (
    select(_t.family_id, _unspent, _last, _last_unspent)
    .group_by(_t.family_id)
    .having(or_(_unspent > 1, _last_unspent < _last))
    .order_by(_t.family_id)
)


async def audit_sessions(url: str) -> tuple[Counter[str], list[Breach]]:
    """How many tokens there are, and which families are wrong.

    Raises:
        ValueError: for an address of another kind of database.
        SQLAlchemyError: the database can't be read.
    """
    engine = make_engine(url, pool_size=1)

    def read() -> tuple[Any, list[Row[Any]]]:
        connection: Connection
        with engine.connect() as connection:
            return connection.execute(_COUNTS).one(), list(connection.execute(_WRONG))

    try:
        (tokens, families), wrong = await greenlet_spawn(read)
    finally:
        await greenlet_spawn(engine.dispose)
    seen = Counter({"refresh tokens": tokens, "sessions": families})
    breaches = [
        Breach(SESSION, f"session {row.family_id}", what) for row in wrong for what in _faults(row)
    ]
    return seen, breaches


def _faults(row: Row[Any]) -> Iterator[str]:
    if row.unspent > 1:
        yield f"{row.unspent} of its tokens are unspent"
    if row.last_unspent is not None and row.last_unspent < row.last:
        yield f"token {row.last_unspent} is unspent, and has a successor"
