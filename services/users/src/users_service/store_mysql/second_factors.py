"""Second factors, recovery codes and the policy in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from users_service.domain.audit import Entry
from users_service.domain.second_factors import FactorState, SecondFactor
from users_service.domain.users import Role
from users_service.store_mysql.audit import add_to_log
from users_service.store_mysql.database import Part
from users_service.store_mysql.tables import (
    policies,
    recovery_codes,
    refresh_families,
    second_factors,
    users,
)
from users_service.store_mysql.users import lock_account

_POLICY: Final = "second_factor_roles"

_s, _r, _p, _f = second_factors.c, recovery_codes.c, policies.c, refresh_families.c

_STATE = (
    select(
        select(_p.value).where(_p.name == _POLICY).scalar_subquery().label("roles"),
        _s.sealed,
        _s.confirmed_at,
    )
    .join_from(users, second_factors, _s.user_id == users.c.id, isouter=True)
    .where(users.c.id == bindparam("user_id"))
)


def _roles(value: str | None) -> frozenset[Role]:
    return frozenset(map(Role, (value or "").split()))


def _state(rows: Sequence[Any]) -> FactorState:
    if not rows:
        return FactorState(None, frozenset())
    row = rows[0]
    factor = SecondFactor(row.sealed, row.confirmed_at) if row.sealed is not None else None
    return FactorState(factor, _roles(row.roles))


def read_factor_state(connection: Connection, user_id: str) -> FactorState:
    """An account's second factor and who must have one, in a transaction that holds the account."""
    return _state(connection.execute(_STATE, {"user_id": user_id}).fetchall())


def _replace_codes(connection: Connection, user_id: str, digests: Sequence[str]) -> None:
    connection.execute(delete(recovery_codes).where(_r.user_id == user_id))
    rows = [{"user_id": user_id, "code_digest": digest} for digest in digests]
    connection.execute(insert(recovery_codes), rows)


class SecondFactors(Part):
    """Implements FactorStore."""

    async def factor_state(self, user_id: str) -> FactorState:
        """An account's second factor, and the roles that must have one."""
        return _state(await self._database.fetch(_STATE, {"user_id": user_id}))

    async def begin_factor(self, user_id: str, sealed: str, now: datetime) -> bool:
        """Stores a factor to be confirmed, in the place of another such one."""
        values = {"sealed": sealed, "created_at": now}

        def begin(connection: Connection) -> None:
            replaced = connection.execute(
                update(second_factors)
                .where(_s.user_id == user_id, _s.confirmed_at.is_(None))
                .values(values)
            )
            if replaced.rowcount == 0:
                connection.execute(insert(second_factors), {"user_id": user_id, **values})

        for _ in range(2):
            try:
                await self._database.transaction(begin)
            except IntegrityError:
                # Either another request began one in between, and that is replaced now, or the
                # one that is there is confirmed.
                continue
            return True
        return False

    async def confirm_factor(
        self,
        user_id: str,
        sealed: str,
        step: int,
        codes: Sequence[str],
        kept: str,
        now: datetime,
        entry: Entry,
    ) -> bool:
        """Confirms this very factor by the code of a step; False if it isn't there to confirm."""

        def confirm(connection: Connection) -> bool:
            # A login that holds the account as one without a factor is waited for, and its family
            # is there to be ended; one that comes later sees the factor.
            lock_account(connection, user_id)
            confirmed = connection.execute(
                update(second_factors)
                .where(_s.user_id == user_id, _s.sealed == sealed, _s.confirmed_at.is_(None))
                .values(confirmed_at=now, last_step=step)
            )
            if confirmed.rowcount == 0:
                return False
            _replace_codes(connection, user_id, codes)
            connection.execute(
                update(refresh_families)
                .where(_f.user_id == user_id, _f.id != kept, _f.ended_at.is_(None))
                .values(ended_at=now)
            )
            add_to_log(connection, entry)
            return True

        return await self._database.transaction(confirm)

    async def use_step(self, user_id: str, sealed: str, step: int) -> bool:
        """Uses up a step of this very, confirmed factor, and those before it; False if it was."""
        # The compare-and-set: over all instances it matches for one of those who send a code.
        used = await self._database.execute(
            update(second_factors)
            .where(
                _s.user_id == user_id,
                _s.sealed == sealed,
                _s.confirmed_at.is_not(None),
                or_(_s.last_step.is_(None), _s.last_step < step),
            )
            .values(last_step=step)
        )
        return used > 0

    async def use_recovery_code(self, user_id: str, digest: str) -> bool:
        """Uses up a recovery code; False if there is no such one."""
        used = await self._database.execute(
            delete(recovery_codes).where(_r.user_id == user_id, _r.code_digest == digest)
        )
        return used > 0

    async def replace_recovery_codes(
        self, user_id: str, sealed: str, digests: Sequence[str], entry: Entry
    ) -> bool:
        """Replaces all recovery codes; False if this very factor isn't there, confirmed."""

        def replace(connection: Connection) -> bool:
            # Locked, so that of two requests at once the codes of one are all that is left.
            factor = connection.execute(
                select(_s.user_id)
                .where(_s.user_id == user_id, _s.sealed == sealed, _s.confirmed_at.is_not(None))
                .with_for_update()
            )
            if factor.first() is None:
                return False
            _replace_codes(connection, user_id, digests)
            add_to_log(connection, entry)
            return True

        return await self._database.transaction(replace)

    async def recovery_codes_left(self, user_id: str) -> int:
        """How many are not used up."""
        statement = select(func.count()).select_from(recovery_codes).where(_r.user_id == user_id)
        rows = await self._database.fetch(statement)
        return int(rows[0][0])

    async def remove_factor(self, user_id: str, entry: Entry) -> bool:
        """Removes a factor and its recovery codes; whether there was a confirmed one."""

        def remove(connection: Connection) -> bool:
            confirmed_at = select(_s.confirmed_at).where(_s.user_id == user_id)
            confirmed = connection.execute(confirmed_at).scalar() is not None
            connection.execute(delete(second_factors).where(_s.user_id == user_id))
            connection.execute(delete(recovery_codes).where(_r.user_id == user_id))
            add_to_log(connection, entry)
            return confirmed

        return await self._database.transaction(remove)

    async def sealed_factors(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        """A page of accounts' ids and their factors' sealed secrets."""
        page = select(_s.user_id, _s.sealed).where(_s.user_id > after)
        rows = await self._database.fetch(page.order_by(_s.user_id).limit(limit))
        return [(row.user_id, row.sealed) for row in rows]

    async def reseal_factor(self, user_id: str, before: str, after: str) -> bool:
        """Replaces how a factor's secret is sealed, if that is still `before`."""
        changed = await self._database.execute(
            update(second_factors)
            .where(_s.user_id == user_id, _s.sealed == before)
            .values(sealed=after)
        )
        return changed > 0

    async def factor_roles(self) -> frozenset[Role]:
        """The roles that must have a second factor."""
        rows = await self._database.fetch(select(_p.value).where(_p.name == _POLICY))
        return _roles(rows[0].value) if rows else frozenset()

    async def save_factor_roles(self, roles: frozenset[Role], now: datetime, entry: Entry) -> None:
        """Replaces them."""
        values = {"value": " ".join(sorted(roles)), "updated_at": now}

        def save(connection: Connection) -> None:
            saved = connection.execute(update(policies).where(_p.name == _POLICY).values(values))
            if saved.rowcount == 0:
                connection.execute(insert(policies), {"name": _POLICY, **values})
            add_to_log(connection, entry)

        try:
            await self._database.transaction(save)
        except IntegrityError:
            # Another request was the first in between: now it can be replaced.
            await self._database.transaction(save)
