"""Accounts and doctors in the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from users_service.domain.audit import Entry
from users_service.domain.credentials import Credentials
from users_service.domain.users import (
    Doctor,
    Role,
    Status,
    User,
    email_key,
    name_key,
    specialty_key,
)
from users_service.errors import EmailTakenError, LastAdminError
from users_service.store import DoctorFilter, UserFilter
from users_service.store_mysql.audit import Logged, add_to_log
from users_service.store_mysql.tables import (
    doctor_profiles,
    password_resets,
    refresh_families,
    users,
)

_u, _d = users.c, doctor_profiles.c

# In the order of User's fields, so that a row is one.
USER_COLUMNS = (
    _u.id,
    _u.email,
    _u.full_name,
    _u.role,
    _u.timezone,
    _u.phone,
    _u.birth_date,
    _u.status,
    _u.version,
    _u.created_at,
    _u.updated_at,
)
_DOCTOR_COLUMNS = (
    _u.id,
    _u.full_name,
    _d.specialty,
    _d.bio,
    _u.timezone,
    _d.accepting_patients,
    _d.version,
)
_DOCTORS = (
    select(*_DOCTOR_COLUMNS)
    .join_from(doctor_profiles, users, _d.user_id == _u.id)
    .where(_u.role == Role.DOCTOR.value)
)
_ACTIVE_DOCTORS = _DOCTORS.where(_u.status == Status.ACTIVE.value)

# What stays of a closed account is nobody any more.
_OPEN = _u.closed_at.is_(None)
_USER_BY_ID = select(*USER_COLUMNS).where(_u.id == bindparam("user_id"), _OPEN)
_CREDENTIALS = select(*USER_COLUMNS, _u.password_hash, _u.email_key).where(
    _u.email_key == bindparam("email_key"), _OPEN
)


def user_of(row: Sequence[Any]) -> User:
    """The account in a row that begins with USER_COLUMNS."""
    uid, email, name, role, zone, phone, born, status, version, created, updated = row[:11]
    return User(
        uid,
        email,
        name,
        Role(role),
        zone,
        phone,
        born,
        Status(status),
        version,
        created,
        updated,
    )


def _doctor_of(row: Sequence[Any]) -> Doctor:
    return Doctor(*row)


def account_values(user: User) -> dict[str, Any]:
    """An account's columns, but for its id and its password."""
    return {
        "email": user.email,
        "email_key": email_key(user.email),
        "full_name": user.full_name,
        "name_key": name_key(user.full_name),
        "role": user.role.value,
        "timezone": user.timezone,
        "phone": user.phone,
        "birth_date": user.birth_date,
        "status": user.status.value,
        "version": user.version,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }


def _contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """A search without wildcards; columns compare by code points, so both sides are folded."""
    return func.instr(column, text) > 0


class Users(Logged):
    """Implements UserStore."""

    async def user(self, user_id: str) -> User | None:
        """One account."""
        rows = await self._database.fetch(_USER_BY_ID, {"user_id": user_id})
        return user_of(rows[0]) if rows else None

    async def credentials(self, email_key: str) -> Credentials | None:
        """The account of an e-mail address."""
        rows = await self._database.fetch(_CREDENTIALS, {"email_key": email_key})
        # MySQL takes trailing spaces for nothing when it compares. For one who may try each address
        # only so often, an address with a space more must not be another one.
        if not rows or rows[0].email_key != email_key:
            return None
        return Credentials(user_of(rows[0]), rows[0].password_hash)

    async def add_user(self, user: User, password_hash: str, entry: Entry) -> None:
        """Adds an account, and a doctor's profile for a doctor. Raises EmailTakenError."""

        def add(connection: Connection) -> None:
            connection.execute(
                insert(users),
                {"id": user.id, "password_hash": password_hash, **account_values(user)},
            )
            if user.role is Role.DOCTOR:
                _ensure_profile(connection, user.id)
            add_to_log(connection, entry)

        try:
            await self._database.transaction(add)
        except IntegrityError as error:
            raise EmailTakenError("an account with this e-mail address exists") from error

    async def change_user(self, before: User, after: User, entry: Entry) -> bool:
        """Replaces an account if it still has the version of `before`; False if it hasn't."""

        def change(connection: Connection) -> bool:
            if before.administers and not after.administers:
                check_other_admins(connection, before.id)
            changed = connection.execute(
                update(users)
                .where(_u.id == before.id, _u.version == before.version)
                .values(account_values(after))
            )
            if changed.rowcount == 0:
                return False
            if after.role is Role.DOCTOR:
                _follow_account(connection, before, after)
            if before.is_active and not after.is_active:
                connection.execute(
                    update(refresh_families)
                    .where(
                        refresh_families.c.user_id == after.id,
                        refresh_families.c.ended_at.is_(None),
                    )
                    .values(ended_at=after.updated_at)
                )
                resets = delete(password_resets)
                connection.execute(resets.where(password_resets.c.user_id == after.id))
            add_to_log(connection, entry)
            return True

        return await self._database.transaction(change)

    async def change_password_hash(self, user_id: str, before: str, after: str) -> bool:
        """Replaces a hash by another of the same password; False if it isn't `before` any more."""
        changed = await self._database.execute(
            update(users)
            .where(_u.id == user_id, _u.password_hash == before)
            .values(password_hash=after)
        )
        return changed > 0

    async def users(self, chosen: UserFilter, after: str, limit: int) -> list[User]:
        """A page of accounts."""
        statement = select(*USER_COLUMNS).where(_OPEN)
        if chosen.role is not None:
            statement = statement.where(_u.role == chosen.role.value)
        if chosen.status is not None:
            statement = statement.where(_u.status == chosen.status.value)
        if chosen.text:
            found = _contains(_u.name_key, chosen.text) | _contains(_u.email_key, chosen.text)
            statement = statement.where(found)
        return [user_of(row) for row in await self._page(statement, after, limit)]

    async def doctor(self, user_id: str) -> Doctor | None:
        """The profile of an active doctor."""
        rows = await self._database.fetch(_ACTIVE_DOCTORS.where(_u.id == user_id))
        return _doctor_of(rows[0]) if rows else None

    async def doctor_in_any_state(self, user_id: str) -> Doctor | None:
        """The profile of a doctor, disabled or not."""
        rows = await self._database.fetch(_DOCTORS.where(_u.id == user_id))
        return _doctor_of(rows[0]) if rows else None

    async def change_doctor(self, before: Doctor, after: Doctor, entry: Entry | None) -> bool:
        """Replaces what is the profile's own if it still has the version of `before`."""
        statement = (
            update(doctor_profiles)
            .where(_d.user_id == before.id, _d.version == before.version)
            .values(
                specialty=after.specialty,
                specialty_key=specialty_key(after.specialty),
                bio=after.bio,
                accepting_patients=after.accepting_patients,
                version=after.version,
            )
        )
        return await self._write_logged(statement, entry) > 0

    async def doctors(self, chosen: DoctorFilter, after: str, limit: int) -> list[Doctor]:
        """A page of active doctors."""
        statement = _ACTIVE_DOCTORS
        if chosen.specialty is not None:
            statement = statement.where(_d.specialty_key == specialty_key(chosen.specialty))
        if chosen.text:
            statement = statement.where(_contains(_u.name_key, chosen.text))
        return [_doctor_of(row) for row in await self._page(statement, after, limit)]

    async def _page(self, statement: Select[Any], after: str, limit: int) -> Sequence[Row[Any]]:
        page = statement.where(_u.id > after).order_by(_u.id).limit(limit)
        return await self._database.fetch(page)


def hold_account(connection: Connection, user_id: str) -> Credentials | None:
    """An open account as it is now, and as it stays until the transaction ends.

    Who changes an account, its password or its factor waits for that, and whoever holds it waits
    for them. Others may hold it as well.
    """
    held = select(*USER_COLUMNS, _u.password_hash).where(_u.id == user_id, _OPEN)
    row = connection.execute(held.with_for_update(read=True)).first()
    return Credentials(user_of(row), row.password_hash) if row is not None else None


def lock_account(connection: Connection, user_id: str) -> None:
    """Waits for those who hold an account, and keeps it from others until the transaction ends."""
    connection.execute(select(_u.id).where(_u.id == user_id).with_for_update())


def check_other_admins(connection: Connection, user_id: str) -> None:
    """Raises LastAdminError. Locks all active admins, in one order, so that no two of them can
    each rely on the other while both are being disabled.
    """
    active = (
        select(_u.id)
        .where(_u.role == Role.ADMIN.value, _u.status == Status.ACTIVE.value)
        .order_by(_u.id)
        .with_for_update()
    )
    ids = connection.execute(active).scalars().all()
    if not set(ids) - {user_id}:
        raise LastAdminError("this is the last active admin")


def _ensure_profile(connection: Connection, user_id: str) -> None:
    known = connection.execute(select(_d.version).where(_d.user_id == user_id))
    if known.first() is None:
        profile = {
            "user_id": user_id,
            "specialty": "",
            "specialty_key": specialty_key(""),
            "bio": "",
            "accepting_patients": True,
            "version": 1,
        }
        connection.execute(insert(doctor_profiles), profile)


def _follow_account(connection: Connection, before: User, after: User) -> None:
    """A doctor's page shows the account's name and zone, so a change of them is a change of it."""
    _ensure_profile(connection, after.id)
    if (before.full_name, before.timezone) != (after.full_name, after.timezone):
        connection.execute(
            update(doctor_profiles).where(_d.user_id == after.id).values(version=_d.version + 1)
        )
