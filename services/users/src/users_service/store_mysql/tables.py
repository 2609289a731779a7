"""The tables, as the newest migration leaves them.

All text is compared by its code points (utf8mb4_bin): what is equal, the domain's keys decide.
Instants are stored in UTC without an offset, to the microsecond.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=_CONVENTION)

_ID = String(26)
_DIGEST = String(64)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """MySQL keeps whole seconds if it isn't told."""
        if dialect.name == "mysql":
            # Imported where it is in use already; elsewhere its drivers would be a MiB for nothing.
            from sqlalchemy.dialects.mysql import DATETIME

            return dialect.type_descriptor(DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Into the database."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Out of it."""
        return None if value is None else value.replace(tzinfo=UTC)


def _table(name: str, *parts: Any) -> Table:
    return Table(
        name,
        metadata,
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


users = _table(
    "users",
    Column("id", _ID, primary_key=True),
    Column("email", String(254), nullable=False),
    Column("email_key", String(254), nullable=False, unique=True),
    Column("password_hash", String(255), nullable=False),
    Column("full_name", String(200), nullable=False),
    # Folding can make eighteen characters of one.
    Column("name_key", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("phone", String(40)),
    Column("birth_date", Date),
    Column("status", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Index(None, "role", "status", "id"),
)

doctor_profiles = _table(
    "doctor_profiles",
    Column("user_id", _ID, ForeignKey("users.id"), primary_key=True),
    Column("specialty", String(100), nullable=False),
    Column("specialty_key", _DIGEST, nullable=False),
    Column("bio", Text, nullable=False),
    Column("accepting_patients", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "specialty_key", "user_id"),
)

refresh_families = _table(
    "refresh_families",
    Column("id", _ID, primary_key=True),
    Column("user_id", _ID, ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("last_used_at", Instant),
    Column("client", String(200)),
)

refresh_tokens = _table(
    "refresh_tokens",
    Column("digest", _DIGEST, primary_key=True),
    Column("family_id", _ID, ForeignKey("refresh_families.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("spent_at", Instant),
    Column("expires_at", Instant, nullable=False, index=True),
    UniqueConstraint("family_id", "number"),
)

login_attempts = _table(
    "login_attempts",
    # SQLite numbers rows by itself only in a column of type INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("address", String(45), nullable=False),
    Column("email_digest", _DIGEST, nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Index(None, "address", "at"),
)

signing_keys = _table(
    "signing_keys",
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("key_id", _DIGEST, nullable=False, unique=True),
    Column("public_pem", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("signs_from", Instant, nullable=False),
    Column("retired_at", Instant),
)

services = _table(
    "services",
    Column("name", String(80), primary_key=True),
    Column("scope", String(255), nullable=False),
    Column("public_pem", Text, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

used_assertions = _table(
    "used_assertions",
    Column("service", String(80), primary_key=True),
    Column("token_digest", _DIGEST, primary_key=True),
    Column("expires_at", Instant, nullable=False, index=True),
)

registrations = _table(
    "registrations",
    Column("token_digest", _DIGEST, primary_key=True),
    Column("email", String(254), nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("full_name", String(200), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("phone", String(40)),
    Column("birth_date", Date),
    Column("expires_at", Instant, nullable=False, index=True),
)

password_resets = _table(
    "password_resets",
    Column("token_digest", _DIGEST, primary_key=True),
    Column("user_id", _ID, ForeignKey("users.id"), nullable=False, index=True),
    Column("expires_at", Instant, nullable=False, index=True),
)

second_factors = _table(
    "second_factors",
    Column("user_id", _ID, ForeignKey("users.id"), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("last_step", Integer),
)

recovery_codes = _table(
    "recovery_codes",
    Column("user_id", _ID, ForeignKey("users.id"), primary_key=True),
    Column("code_digest", _DIGEST, primary_key=True),
)

policies = _table(
    "policies",
    Column("name", String(80), primary_key=True),
    Column("value", String(255), nullable=False),
    Column("updated_at", Instant, nullable=False),
)

erasures = _table(
    "erasures",
    Column("user_id", _ID, ForeignKey("users.id"), primary_key=True),
    Column("requested_at", Instant, nullable=False),
    Column("next_try_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("done_at", Instant),
    Index(None, "done_at", "next_try_at"),
)

# No foreign keys: what happened stays, whatever becomes of whom it happened to.
audit_log = _table(
    "audit_log",
    Column("id", _ID, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("action", String(40), nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("actor_id", String(80)),
    Column("actor_role", String(16)),
    Column("subject_id", String(80)),
    Column("address", String(45)),
    Column("request_id", String(128)),
    Column("details", String(255)),
    Index(None, "actor_id", "id"),
    Index(None, "subject_id", "id"),
    Index(None, "action", "id"),
)
