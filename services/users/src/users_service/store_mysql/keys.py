"""Signing keys, registered services and used assertions in the database."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from users_service.domain.audit import Entry
from users_service.domain.keys import RegisteredService, SigningKey, forgettable_keys
from users_service.domain.sessions import token_digest
from users_service.store_mysql.audit import Logged, add_to_log
from users_service.store_mysql.tables import services, signing_keys, used_assertions

_k, _s = signing_keys.c, services.c

# In the order of SigningKey's fields, so that a row is one.
_ALL_KEYS = select(_k.generation, _k.key_id, _k.public_pem, _k.sealed, _k.signs_from, _k.retired_at)


class Keys(Logged):
    """Implements KeyStore."""

    async def signing_keys(self) -> Sequence[SigningKey]:
        """All keys."""
        rows: Sequence[Sequence[Any]] = await self._database.fetch(_ALL_KEYS)
        return [SigningKey(*row) for row in rows]

    async def add_signing_key(self, key: SigningKey, entry: Entry) -> bool:
        """Adds a key; False if its generation is there already."""
        row = {
            "generation": key.generation,
            "key_id": key.key_id,
            "public_pem": key.public_pem,
            "sealed": key.sealed,
            "signs_from": key.signs_from,
        }
        try:
            await self._write_logged(insert(signing_keys).values(row), entry)
        except IntegrityError:
            return False
        return True

    async def retire_signing_key(
        self, key_id: str, others: Collection[str], now: datetime, entry: Entry
    ) -> bool:
        """Retires a key; False, and nothing done, if all of `others` are retired meanwhile."""

        def retire(connection: Connection) -> bool:
            # All are locked, in one order: of two that are retired at once the second waits, and
            # then sees that the first is gone.
            usable = (
                select(_k.key_id)
                .where(_k.key_id.in_([key_id, *others]), _k.retired_at.is_(None))
                .order_by(_k.generation)
                .with_for_update()
            )
            if not {row.key_id for row in connection.execute(usable)} - {key_id}:
                return False
            connection.execute(
                update(signing_keys)
                .where(_k.key_id == key_id, _k.retired_at.is_(None))
                .values(retired_at=now)
            )
            add_to_log(connection, entry)
            return True

        return await self._database.transaction(retire)

    async def reseal_signing_key(self, key_id: str, before: str, after: str) -> bool:
        """Replaces how a key is sealed, if that is still `before`."""
        changed = await self._database.execute(
            update(signing_keys)
            .where(_k.key_id == key_id, _k.sealed == before)
            .values(sealed=after)
        )
        return changed > 0

    async def _forget_keys(self, now: datetime) -> int:
        """Deletes the keys that have been over for long."""
        forgettable = [key.generation for key in forgettable_keys(await self.signing_keys(), now)]
        if not forgettable:
            return 0
        return await self._database.execute(
            delete(signing_keys).where(_k.generation.in_(forgettable))
        )

    async def registered_service(self, name: str) -> RegisteredService | None:
        """One service."""
        statement = select(_s.name, _s.scope, _s.public_pem).where(_s.name == name)
        rows = await self._database.fetch(statement)
        if not rows:
            return None
        return RegisteredService(rows[0].name, frozenset(rows[0].scope.split()), rows[0].public_pem)

    async def save_service(self, service: RegisteredService, now: datetime, entry: Entry) -> None:
        """Registers a service, or replaces its registration."""
        values = {
            "scope": " ".join(sorted(service.scope)),
            "public_pem": service.public_pem,
            "updated_at": now,
        }

        def save(connection: Connection) -> None:
            replaced = connection.execute(
                update(services).where(_s.name == service.name).values(values)
            )
            if replaced.rowcount == 0:
                connection.execute(insert(services), {"name": service.name, **values})
            add_to_log(connection, entry)

        try:
            await self._database.transaction(save)
        except IntegrityError:
            # Another process registered it in between: now it can be replaced.
            await self._database.transaction(save)

    async def use_assertion(
        self, service: str, token_id: str, expires_at: datetime, entry: Entry
    ) -> bool:
        """Marks an assertion's `jti` as used until it expires; False if it was used before."""
        row = {
            "service": service,
            "token_digest": token_digest(token_id),
            "expires_at": expires_at,
        }
        try:
            await self._write_logged(insert(used_assertions).values(row), entry)
        except IntegrityError:
            return False
        return True
