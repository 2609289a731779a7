"""Closing accounts, and the outbox of erasures, in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from users_service.domain.audit import Entry
from users_service.domain.erasures import Backlog, Erasure
from users_service.domain.users import User
from users_service.store_mysql.audit import add_to_log, blank_addresses
from users_service.store_mysql.database import Part
from users_service.store_mysql.tables import (
    doctor_profiles,
    erasures,
    password_resets,
    recovery_codes,
    refresh_families,
    registrations,
    second_factors,
    users,
)
from users_service.store_mysql.users import account_values, check_other_admins

_u, _f, _e = users.c, refresh_families.c, erasures.c

_CANDIDATES = 10
_DUE = (
    select(_e.user_id, _e.requested_at, _e.next_try_at, _e.attempts)
    .where(_e.done_at.is_(None))
    .order_by(_e.next_try_at)
    .limit(_CANDIDATES)
)
_PENDING = select(func.count(), func.min(_e.next_try_at), func.min(_e.requested_at)).where(
    _e.done_at.is_(None)
)


class Erasures(Part):
    """Implements ClosingStore."""

    async def close_user(self, before: User, after: User, entry: Entry) -> bool:
        """Replaces an account by what stays of it, closed; False if it has changed."""

        def close(connection: Connection) -> bool:
            if before.administers:
                check_other_admins(connection, before.id)
            closed = connection.execute(
                update(users)
                .where(_u.id == before.id, _u.version == before.version)
                .values(password_hash="", closed_at=after.updated_at, **account_values(after))
            )
            if closed.rowcount == 0:
                return False
            _forget(connection, before, after.updated_at)
            due = {"requested_at": after.updated_at, "next_try_at": after.updated_at}
            connection.execute(insert(erasures), {"user_id": before.id, "attempts": 0, **due})
            add_to_log(connection, entry)
            # With that of this very entry: where people are is personal too.
            blank_addresses(connection, before.id)
            return True

        return await self._database.transaction(close)

    async def take_erasure(self, now: datetime, until: datetime) -> Erasure | None:
        """An erasure that is due, taken until then."""
        rows: Sequence[Sequence[Any]] = await self._database.fetch(
            _DUE.where(_e.next_try_at <= now)
        )
        for row in rows:
            due = Erasure(*row)
            taken = await self.put_off_erasure(due, until, due.attempts)
            if taken is not None:
                return taken
        return None

    async def put_off_erasure(
        self, taken: Erasure, next_try_at: datetime, attempts: int
    ) -> Erasure | None:
        """Gives an erasure another time; None if it was somebody else's meanwhile."""
        # The time it was seen with is what is compared: whoever takes it sets a later one.
        changed = await self._database.execute(
            update(erasures)
            .where(
                _e.user_id == taken.user_id,
                _e.next_try_at == taken.next_try_at,
                _e.done_at.is_(None),
            )
            .values(next_try_at=next_try_at, attempts=attempts)
        )
        return (
            Erasure(taken.user_id, taken.requested_at, next_try_at, attempts) if changed else None
        )

    async def finish_erasure(self, taken: Erasure, now: datetime) -> bool:
        """Notes that it is done; False if it was somebody else's meanwhile."""
        changed = await self._database.execute(
            update(erasures)
            .where(
                _e.user_id == taken.user_id,
                _e.next_try_at == taken.next_try_at,
                _e.done_at.is_(None),
            )
            .values(done_at=now)
        )
        return changed > 0

    async def erasures_pending(self) -> Backlog:
        """How many are not done, when the next is due, and since when the oldest is wanted."""
        rows: Sequence[Sequence[Any]] = await self._database.fetch(_PENDING)
        return Backlog(*rows[0])


def _forget(connection: Connection, before: User, now: datetime) -> None:
    """Ends every session, and deletes whatever else there is of the person."""
    of_user = update(refresh_families).where(_f.user_id == before.id)
    connection.execute(of_user.where(_f.ended_at.is_(None)).values(ended_at=now))
    connection.execute(of_user.values(client=None))
    for table in (password_resets, recovery_codes, second_factors, doctor_profiles):
        connection.execute(delete(table).where(table.c.user_id == before.id))
    # Somebody may have tried to register with this address again.
    connection.execute(delete(registrations).where(registrations.c.email == before.email))
