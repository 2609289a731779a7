"""Accounts, doctors, sessions, failed logins, keys and services."""

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

_ID = String(26)
_DIGEST = String(64)
_INSTANT = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")


def _create(name: str, *parts: Any) -> None:
    op.create_table(
        name,
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def upgrade() -> None:
    """Makes the tables."""
    _create(
        "users",
        Column("id", _ID, nullable=False),
        Column("email", String(254), nullable=False),
        Column("email_key", String(254), nullable=False),
        Column("password_hash", String(255), nullable=False),
        Column("full_name", String(200), nullable=False),
        Column("name_key", Text, nullable=False),
        Column("role", String(16), nullable=False),
        Column("timezone", String(64), nullable=False),
        Column("phone", String(40)),
        Column("birth_date", Date),
        Column("status", String(16), nullable=False),
        Column("version", Integer, nullable=False),
        Column("created_at", _INSTANT, nullable=False),
        Column("updated_at", _INSTANT, nullable=False),
        PrimaryKeyConstraint("id", name="pk_users"),
        UniqueConstraint("email_key", name="uq_users_email_key"),
    )
    _index("users", "role", "status", "id")
    _create(
        "doctor_profiles",
        Column("user_id", _ID, nullable=False),
        Column("specialty", String(100), nullable=False),
        Column("specialty_key", _DIGEST, nullable=False),
        Column("bio", Text, nullable=False),
        Column("accepting_patients", Boolean, nullable=False),
        Column("version", Integer, nullable=False),
        PrimaryKeyConstraint("user_id", name="pk_doctor_profiles"),
        ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_doctor_profiles_user_id"),
    )
    _index("doctor_profiles", "specialty_key", "user_id")
    _create(
        "refresh_families",
        Column("id", _ID, nullable=False),
        Column("user_id", _ID, nullable=False),
        Column("created_at", _INSTANT, nullable=False),
        Column("ended_at", _INSTANT),
        PrimaryKeyConstraint("id", name="pk_refresh_families"),
        ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_refresh_families_user_id"),
    )
    _index("refresh_families", "user_id")
    _create(
        "refresh_tokens",
        Column("digest", _DIGEST, nullable=False),
        Column("family_id", _ID, nullable=False),
        Column("number", Integer, nullable=False),
        Column("spent_at", _INSTANT),
        Column("expires_at", _INSTANT, nullable=False),
        PrimaryKeyConstraint("digest", name="pk_refresh_tokens"),
        ForeignKeyConstraint(
            ["family_id"], ["refresh_families.id"], name="fk_refresh_tokens_family_id"
        ),
        UniqueConstraint("family_id", "number", name="uq_refresh_tokens_family_id_number"),
    )
    _index("refresh_tokens", "expires_at")
    _create(
        "login_attempts",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
        Column("address", String(45), nullable=False),
        Column("email_digest", _DIGEST, nullable=False),
        Column("at", _INSTANT, nullable=False),
        PrimaryKeyConstraint("id", name="pk_login_attempts"),
    )
    _index("login_attempts", "at")
    _index("login_attempts", "address", "at")
    _create(
        "signing_keys",
        Column("generation", Integer, autoincrement=False, nullable=False),
        Column("key_id", _DIGEST, nullable=False),
        Column("public_pem", Text, nullable=False),
        Column("sealed", Text, nullable=False),
        Column("signs_from", _INSTANT, nullable=False),
        PrimaryKeyConstraint("generation", name="pk_signing_keys"),
        UniqueConstraint("key_id", name="uq_signing_keys_key_id"),
    )
    _create(
        "services",
        Column("name", String(80), nullable=False),
        Column("scope", String(255), nullable=False),
        Column("public_pem", Text, nullable=False),
        Column("updated_at", _INSTANT, nullable=False),
        PrimaryKeyConstraint("name", name="pk_services"),
    )
    _create(
        "used_assertions",
        Column("service", String(80), nullable=False),
        Column("token_digest", _DIGEST, nullable=False),
        Column("expires_at", _INSTANT, nullable=False),
        PrimaryKeyConstraint("service", "token_digest", name="pk_used_assertions"),
    )
    _index("used_assertions", "expires_at")


def downgrade() -> None:
    """Drops them."""
    for table in (
        "used_assertions",
        "services",
        "signing_keys",
        "login_attempts",
        "refresh_tokens",
        "refresh_families",
        "doctor_profiles",
        "users",
    ):
        op.drop_table(table)
