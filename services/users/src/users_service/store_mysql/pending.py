"""What waits for a mailed token: password resets and registrations; and replaced passwords."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from users_service.domain.audit import Entry
from users_service.domain.users import Role, Status, User
from users_service.errors import EmailTakenError
from users_service.store import Registration
from users_service.store_mysql.audit import add_to_log
from users_service.store_mysql.database import Part
from users_service.store_mysql.tables import (
    Instant,
    password_resets,
    refresh_families,
    registrations,
    users,
)
from users_service.store_mysql.users import USER_COLUMNS, account_values, lock_account, user_of

_u, _p, _r, _f = users.c, password_resets.c, registrations.c, refresh_families.c

_RESET_FOR = (
    select(*USER_COLUMNS)
    .join_from(password_resets, users, _p.user_id == _u.id)
    .where(
        _p.token_digest == bindparam("digest"),
        _p.expires_at > bindparam("now"),
        _u.status == Status.ACTIVE.value,
    )
)


class Pending(Part):
    """Implements PendingStore."""

    async def replace_password(
        self, user_id: str, before: str, after: str, now: datetime, entry: Entry
    ) -> bool:
        """Replaces a password's hash if it is still `before`; False, and nothing done, if not."""

        def replace(connection: Connection) -> bool:
            changed = connection.execute(
                update(users)
                .where(_u.id == user_id, _u.password_hash == before)
                .values(password_hash=after)
            )
            if changed.rowcount == 0:
                return False
            _end_what_the_old_one_began(connection, user_id, now)
            add_to_log(connection, entry)
            return True

        return await self._database.transaction(replace)

    async def add_reset(
        self, email_key: str, digest: str, expires_at: datetime, entry: Entry
    ) -> bool:
        """Stores a token's digest for the active account of an address; whether there is one."""
        # The same statements, of which the last one always writes, whether there is an account or
        # not: a transaction that has written nothing commits without waiting for the disk.
        account = select(literal(digest), _u.id, literal(expires_at, Instant)).where(
            _u.email_key == email_key, _u.status == Status.ACTIVE.value
        )
        columns = ["token_digest", "user_id", "expires_at"]

        def add(connection: Connection) -> bool:
            stored = connection.execute(insert(password_resets).from_select(columns, account))
            add_to_log(connection, entry)
            return stored.rowcount > 0

        return await self._database.transaction(add)

    async def reset_for(self, digest: str, now: datetime) -> User | None:
        """The active account whose password a token may set."""
        rows = await self._database.fetch(_RESET_FOR, {"digest": digest, "now": now})
        return user_of(rows[0]) if rows else None

    async def use_reset(
        self, digest: str, user_id: str, after: str, now: datetime, entry: Entry
    ) -> bool:
        """Spends a token and sets a password's hash; False, and nothing done, if it was spent."""

        def use(connection: Connection) -> bool:
            # First the account, as everywhere: nobody disables it meanwhile, or begins a session.
            lock_account(connection, user_id)
            # Of all who use the token at once, over all instances, this deletes a row for one.
            spent = connection.execute(
                delete(password_resets).where(_p.token_digest == digest, _p.expires_at > now)
            )
            if spent.rowcount == 0:
                return False
            connection.execute(update(users).where(_u.id == user_id).values(password_hash=after))
            _end_what_the_old_one_began(connection, user_id, now)
            add_to_log(connection, entry)
            return True

        return await self._database.transaction(use)

    async def add_registration(
        self, digest: str, registration: Registration, expires_at: datetime
    ) -> None:
        """Stores what an account is to be once a token is confirmed."""
        account = registration.user
        row = {
            "token_digest": digest,
            "email": account.email,
            "password_hash": registration.password_hash,
            "full_name": account.full_name,
            "timezone": account.timezone,
            "phone": account.phone,
            "birth_date": account.birth_date,
            "expires_at": expires_at,
        }
        await self._database.execute(insert(registrations), row)

    async def registered_hash(self, digest: str, now: datetime) -> str | None:
        """The hash of the password that a registration was made with."""
        statement = select(_r.password_hash).where(_r.token_digest == digest, _r.expires_at > now)
        rows = await self._database.fetch(statement)
        return str(rows[0][0]) if rows else None

    async def use_registration(
        self, digest: str, user_id: str, now: datetime, entry: Entry
    ) -> User | None:
        """Spends a token and adds its account; None, and nothing done, if it isn't good."""

        def use(connection: Connection) -> User | None:
            found = connection.execute(
                select(registrations).where(_r.token_digest == digest, _r.expires_at > now)
            ).first()
            spent = connection.execute(
                delete(registrations).where(_r.token_digest == digest, _r.expires_at > now)
            )
            if found is None or spent.rowcount == 0:
                return None
            user = User(
                id=user_id,
                email=found.email,
                full_name=found.full_name,
                role=Role.PATIENT,
                timezone=found.timezone,
                phone=found.phone,
                birth_date=found.birth_date,
                status=Status.ACTIVE,
                version=1,
                created_at=now,
                updated_at=now,
            )
            values = {"id": user.id, "password_hash": found.password_hash, **account_values(user)}
            connection.execute(insert(users), values)
            add_to_log(connection, entry)
            return user

        try:
            return await self._database.transaction(use)
        except IntegrityError as error:
            raise EmailTakenError("an account with this e-mail address exists") from error


def _end_what_the_old_one_began(connection: Connection, user_id: str, now: datetime) -> None:
    """Sessions, and tokens that were mailed to set another."""
    connection.execute(
        update(refresh_families)
        .where(_f.user_id == user_id, _f.ended_at.is_(None))
        .values(ended_at=now)
    )
    connection.execute(delete(password_resets).where(_p.user_id == user_id))
