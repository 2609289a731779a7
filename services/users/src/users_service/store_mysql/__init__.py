"""The database behind the port: MySQL, MariaDB, or SQLite as the embedded default."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import delete, exists

from servicekit.calls import Calls
from users_service.domain.mails import MAILS_WINDOW
from users_service.domain.sessions import ATTEMPTS_WINDOW
from users_service.store_mysql.access import Access
from users_service.store_mysql.audit import AuditLog
from users_service.store_mysql.database import Database, make_engine
from users_service.store_mysql.erasures import Erasures
from users_service.store_mysql.exports import Exports
from users_service.store_mysql.keys import Keys
from users_service.store_mysql.observed import classify, observe
from users_service.store_mysql.pending import Pending
from users_service.store_mysql.replica import ReplicatedUsers
from users_service.store_mysql.second_factors import SecondFactors
from users_service.store_mysql.sessions import Sessions
from users_service.store_mysql.tables import (
    login_attempts,
    password_resets,
    refresh_families,
    refresh_tokens,
    registrations,
    used_assertions,
)

__all__ = ["MySQLStore", "classify", "open_store"]


class MySQLStore(
    ReplicatedUsers, Sessions, SecondFactors, Keys, AuditLog, Erasures, Exports, Pending
):
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
            delete(login_attempts).where(
                login_attempts.c.at < now - max(ATTEMPTS_WINDOW, MAILS_WINDOW)
            ),
            delete(used_assertions).where(used_assertions.c.expires_at < now),
            delete(password_resets).where(password_resets.c.expires_at < now),
            delete(registrations).where(registrations.c.expires_at < now),
        )
        deleted = [await self._database.execute(statement) for statement in statements]
        return sum(deleted) + await self._forget_keys(now)


@asynccontextmanager
async def open_store(
    url: str,
    *,
    pool_size: int,
    calls: Calls | None = None,
    access: Access | None = None,
    read_url: str | None = None,
) -> AsyncIterator[MySQLStore]:
    """A store whose connections live until the end of the context.

    Args:
        calls: how its statements are counted; a replica's as well, but not its connections.
        read_url: of a replica, reached with the same `access`; asked for the doctors' list.

    Raises:
        ValueError: for an address of another kind of database.
        OSError: the bundle of certificates can't be read.
    """
    engine = make_engine(url, pool_size=pool_size, access=access)
    database = Database(engine, pool_size=pool_size, calls=calls)
    replica = None
    if read_url is not None:
        reading = make_engine(read_url, pool_size=pool_size, access=access)
        if calls is not None:
            observe(reading, calls)
        replica = Database(reading, pool_size=pool_size)
    try:
        yield MySQLStore(database, replica)
    finally:
        if replica is not None:
            await replica.close()
        await database.close()
