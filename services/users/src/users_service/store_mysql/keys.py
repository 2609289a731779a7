"""Signing keys, registered services and used assertions in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from users_service.domain.audit import Entry
from users_service.domain.keys import RegisteredService, SigningKey
from users_service.domain.sessions import token_digest
from users_service.store_mysql.audit import Logged, add_to_log
from users_service.store_mysql.tables import services, signing_keys, used_assertions

_k, _s = signing_keys.c, services.c


class Keys(Logged):
    """Implements KeyStore."""

    async def signing_keys(self) -> Sequence[SigningKey]:
        """All keys."""
        columns = (_k.generation, _k.key_id, _k.public_pem, _k.sealed, _k.signs_from)
        rows: Sequence[Sequence[Any]] = await self._database.fetch(select(*columns))
        return [SigningKey(*row) for row in rows]

    async def add_signing_key(self, key: SigningKey, entry: Entry | None = None) -> bool:
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

    async def registered_service(self, name: str) -> RegisteredService | None:
        """One service."""
        statement = select(_s.name, _s.scope, _s.public_pem).where(_s.name == name)
        rows = await self._database.fetch(statement)
        if not rows:
            return None
        return RegisteredService(rows[0].name, frozenset(rows[0].scope.split()), rows[0].public_pem)

    async def save_service(
        self, service: RegisteredService, now: datetime, entry: Entry | None = None
    ) -> None:
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
        self, service: str, token_id: str, expires_at: datetime, entry: Entry | None = None
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
