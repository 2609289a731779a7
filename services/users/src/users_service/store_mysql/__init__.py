"""The database behind the port: MySQL, MariaDB, or SQLite as the embedded default."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import delete, exists

from servicekit.calls import Calls
from users_service.domain.sessions import ATTEMPTS_WINDOW
from users_service.store_mysql.audit import AuditLog
from users_service.store_mysql.database import Database, make_engine
from users_service.store_mysql.erasures import Erasures
from users_service.store_mysql.exports import Exports
from users_service.store_mysql.keys import Keys
from users_service.store_mysql.observed import classify
from users_service.store_mysql.sessions import Sessions
from users_service.store_mysql.tables import (
    login_attempts,
    refresh_families,
    refresh_tokens,
    used_assertions,
)
from users_service.store_mysql.users import Users

__all__ = ["MySQLStore", "classify", "open_store"]


class MySQLStore(Users, Sessions, Keys, AuditLog, Erasures, Exports):
    """Implements Store."""

    async def ping(self) -> None:
        """Raises StoreUnavailableError if the database is away, or has no tables yet."""
        await self.signing_keys()

    async def forget(self, now: datetime) -> int:
        """Deletes what no longer counts, and says how many rows that was."""
        without_tokens = ~exists().where(refresh_tokens.c.family_id == refresh_families.c.id)
        statements = (
            delete(refresh_tokens).where(refresh_tokens.c.expires_at < now),
            # A family is stored together with its first token, so without any it is over.
            delete(refresh_families).where(without_tokens),
            delete(login_attempts).where(login_attempts.c.at < now - ATTEMPTS_WINDOW),
            delete(used_assertions).where(used_assertions.c.expires_at < now),
        )
        return sum([await self._database.execute(statement) for statement in statements])


@asynccontextmanager
async def open_store(
    url: str, *, pool_size: int, calls: Calls | None = None
) -> AsyncIterator[MySQLStore]:
    """A store whose connections live until the end of the context.

    Args:
        calls: how its statements are counted.

    Raises:
        ValueError: for an address of another kind of database.
    """
    database = Database(make_engine(url, pool_size=pool_size), pool_size=pool_size, calls=calls)
    try:
        yield MySQLStore(database)
    finally:
        await database.close()
