"""Refresh tokens and failed logins in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from users_service.domain.audit import Entry
from users_service.domain.credentials import Verified
from users_service.domain.sessions import Failure, Presented, RefreshToken, Session
from users_service.store_mysql.audit import Logged, add_to_log
from users_service.store_mysql.second_factors import read_factor_state
from users_service.store_mysql.tables import (
    login_attempts,
    refresh_families,
    refresh_tokens,
    users,
)
from users_service.store_mysql.users import USER_COLUMNS, hold_account, user_of

_f, _t, _a = refresh_families.c, refresh_tokens.c, login_attempts.c

_PRESENTED = (
    select(
        *USER_COLUMNS,
        _t.family_id,
        _t.number,
        _t.expires_at,
        _t.spent_at,
        _f.created_at.label("began_at"),
        _f.ended_at,
    )
    .join_from(refresh_tokens, refresh_families, _t.family_id == _f.id)
    .join(users, _f.user_id == users.c.id)
    .where(_t.digest == bindparam("digest"))
)
_FAILURES = (
    select(_a.email_digest, _a.at)
    .where(_a.address == bindparam("address"), _a.at > bindparam("since"))
    .order_by(_a.at.desc())
    .limit(bindparam("count"))
)


def _row(token: RefreshToken) -> dict[str, object]:
    return {
        "digest": token.digest,
        "family_id": token.family_id,
        "number": token.number,
        "spent_at": token.spent_at,
        "expires_at": token.expires_at,
    }


class Sessions(Logged):
    """Implements SessionStore."""

    async def begin_family(
        self,
        verified: Verified,
        first: RefreshToken,
        now: datetime,
        client: str | None,
        entry: Entry,
    ) -> bool:
        """Stores a new family, if what was verified is still so; False if it isn't."""
        user_id = verified.credentials.user.id
        family = {
            "id": first.family_id,
            "user_id": user_id,
            "created_at": now,
            "last_used_at": now,
            "client": client,
        }

        def begin(connection: Connection) -> bool:
            # Held before anything else is read: what was changed since is seen, and what is about
            # to be changed waits, and then ends this family too.
            held = hold_account(connection, user_id)
            if not verified.still_holds(held, read_factor_state(connection, user_id)):
                return False
            connection.execute(insert(refresh_families), family)
            connection.execute(insert(refresh_tokens), _row(first))
            add_to_log(connection, entry)
            return True

        return await self._database.transaction(begin)

    async def presented(self, digest: str) -> Presented | None:
        """What is known of a refresh token."""
        rows = await self._database.fetch(_PRESENTED, {"digest": digest})
        if not rows:
            return None
        row = rows[0]
        token = RefreshToken(digest, row.family_id, row.number, row.expires_at, row.spent_at)
        return Presented(token, user_of(row), row.began_at, row.ended_at is not None)

    async def spend(self, digest: str, successor: RefreshToken, now: datetime) -> bool:
        """Spends a token and stores its successor; False, and nothing spent, if it was before."""

        def rotate(connection: Connection) -> bool:
            # The family's row comes first: whoever spends a token of it or ends it locks this row
            # before any other, so that nobody waits for one who waits for them.
            unspent = exists().where(_t.digest == digest, _t.spent_at.is_(None))
            used = connection.execute(
                update(refresh_families)
                .where(_f.id == successor.family_id, _f.ended_at.is_(None), unspent)
                .values(last_used_at=now)
            )
            if used.rowcount == 0:
                return False
            # The compare-and-set: of all who present the token at once, over all instances, this
            # statement matches a row for one. The row lock makes the others wait and see.
            spent = connection.execute(
                update(refresh_tokens)
                .where(_t.digest == digest, _t.spent_at.is_(None))
                .values(spent_at=now)
            )
            if spent.rowcount == 0:
                return False
            connection.execute(insert(refresh_tokens), _row(successor))
            return True

        return await self._database.transaction(rotate)

    async def end_family(self, family_id: str, now: datetime, entry: Entry) -> None:
        """Ends a family; none of its tokens counts any more."""
        statement = (
            update(refresh_families)
            .where(_f.id == family_id, _f.ended_at.is_(None))
            .values(ended_at=now)
        )
        await self._write_logged(statement, entry)

    async def sessions(
        self, user_id: str, now: datetime, after: str, limit: int
    ) -> Sequence[Session]:
        """A page of an account's families that have a token to use, in the order of ids."""
        usable = exists().where(_t.family_id == _f.id, _t.spent_at.is_(None), _t.expires_at > now)
        # The version before this one knew of no use.
        last_used_at = func.coalesce(_f.last_used_at, _f.created_at)
        rows: Sequence[Sequence[Any]] = await self._database.fetch(
            select(_f.id, _f.created_at, last_used_at, _f.client)
            .where(_f.user_id == user_id, _f.ended_at.is_(None), _f.id > after, usable)
            .order_by(_f.id)
            .limit(limit)
        )
        return [Session(*row) for row in rows]

    async def end_session(self, user_id: str, family_id: str, now: datetime, entry: Entry) -> bool:
        """Ends a family of that account; False if it has no such one that goes on."""
        ended = await self._write_logged(
            update(refresh_families)
            .where(_f.id == family_id, _f.user_id == user_id, _f.ended_at.is_(None))
            .values(ended_at=now),
            entry,
        )
        return ended > 0

    async def failures(self, address: str, since: datetime, limit: int) -> Sequence[Failure]:
        """The newest failed logins from an address, newest first."""
        parameters = {"address": address, "since": since, "count": limit}
        rows = await self._database.fetch(_FAILURES, parameters)
        return [Failure(row.email_digest, row.at) for row in rows]

    async def add_failure(self, address: str, failure: Failure, entry: Entry | None) -> None:
        """Remembers a failed login."""
        row = {"address": address, "email_digest": failure.email_digest, "at": failure.at}
        await self._write_logged(insert(login_attempts).values(row), entry)

    async def reserve_attempt(self, address: str, failure: Failure) -> int:
        """Remembers an attempt as failed before it is made; by what to take it back."""
        row = {"address": address, "email_digest": failure.email_digest, "at": failure.at}

        def reserve(connection: Connection) -> int:
            key = connection.execute(insert(login_attempts), row).inserted_primary_key
            if key is None:
                raise AssertionError("an insert of one row has a key")
            return int(key[0])

        return await self._database.transaction(reserve)

    async def release_attempt(self, attempt: int) -> None:
        """Forgets an attempt that didn't fail."""
        await self._database.execute(delete(login_attempts).where(_a.id == attempt))
