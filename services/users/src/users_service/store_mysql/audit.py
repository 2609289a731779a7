"""The audit log in the database: added to and read, and nothing of it is changed.

The two exceptions are the law's: entries go when their time is over, and the address, which is the
only personal thing in one, goes with the account (`blank_addresses`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable, Row, and_, delete, insert, or_, select, update

from servicekit.ids import first_id, last_id
from users_service.domain.audit import Entry, Origin
from users_service.store import AuditFilter
from users_service.store_mysql.database import Part
from users_service.store_mysql.tables import audit_log

_c = audit_log.c


def add_to_log(connection: Connection, entry: Entry | None) -> None:
    """Adds an entry in the transaction of what it tells of; None for what needs none."""
    if entry is not None:
        connection.execute(insert(audit_log), _row(entry))


def blank_addresses(connection: Connection, user_id: str) -> None:
    """Removes where an account's own requests came from; for the transaction that closes it.

    Failed sign-ins have no actor, and an address that may be its owner's.
    """
    own = or_(_c.actor_id == user_id, and_(_c.actor_id.is_(None), _c.subject_id == user_id))
    connection.execute(update(audit_log).where(own).values(address=None))


class Logged(Part):
    """A part of the store whose changes leave entries."""

    async def _write_logged(self, statement: Executable, entry: Entry | None) -> int:
        """How many rows one writing statement matched; with its entry, if it matched any.

        Without an entry it stays what it is: one statement, one round trip. Raises IntegrityError.
        """
        if entry is None:
            return await self._database.execute(statement)

        def write(connection: Connection) -> int:
            matched = connection.execute(statement).rowcount
            if matched:
                add_to_log(connection, entry)
            return matched

        return await self._database.transaction(write)


class AuditLog(Part):
    """Implements AuditStore."""

    async def add_entry(self, entry: Entry) -> None:
        """Adds an entry."""
        await self._database.execute(insert(audit_log), _row(entry))

    async def entries(self, chosen: AuditFilter, before: str, limit: int) -> Sequence[Entry]:
        """A page of entries, newest first."""
        statement = select(audit_log).order_by(_c.id.desc()).limit(limit)
        if before:
            statement = statement.where(_c.id < before)
        if chosen.actor_id is not None:
            statement = statement.where(_c.actor_id == chosen.actor_id)
        if chosen.subject_id is not None:
            statement = statement.where(_c.subject_id == chosen.subject_id)
        if chosen.action is not None:
            statement = statement.where(_c.action == chosen.action.value)
        # Ids begin with their moment, so a span of time is one of ids, which every index ends with.
        if chosen.since is not None:
            statement = statement.where(_c.id >= first_id(chosen.since), _c.at >= chosen.since)
        if chosen.until is not None:
            statement = statement.where(_c.id <= last_id(chosen.until), _c.at < chosen.until)
        return [_entry_of(row) for row in await self._database.fetch(statement)]

    async def forget_entries(self, until: datetime) -> int:
        """Deletes the entries made before a moment; how many."""
        return await self._database.execute(delete(audit_log).where(_c.id < first_id(until)))


def _row(entry: Entry) -> dict[str, Any]:
    origin = entry.origin
    return {
        "id": entry.id,
        "at": entry.at,
        "action": str(entry.action),
        "outcome": str(entry.outcome),
        "actor_id": origin.actor_id,
        "actor_role": origin.actor_role,
        "subject_id": entry.subject_id,
        "address": origin.address,
        "request_id": origin.request_id,
        "details": entry.details,
    }


def _entry_of(row: Row[Any]) -> Entry:
    origin = Origin(row.actor_id, row.actor_role, row.address, row.request_id)
    return Entry(
        row.id,
        row.at,
        row.action,
        row.outcome,
        origin,
        row.subject_id,
        row.details or "",
    )
