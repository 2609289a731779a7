"""Resets, registrations to confirm, second factors, named sessions, erasures, the audit log.

Only adds: the version before this one goes on working beside it. What it inserts has none of the
new columns, which therefore may all be null.
"""

from typing import Any

from alembic import op
from sqlalchemy import (
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
)
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"

_ID = String(26)
_DIGEST = String(64)
_INSTANT = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")


def _added() -> tuple[tuple[str, Column[Any]], ...]:
    """Columns of tables that were there; made anew, since one can be put into a table only once."""
    return (
        ("users", Column("closed_at", _INSTANT)),
        ("refresh_families", Column("last_used_at", _INSTANT)),
        ("refresh_families", Column("client", String(200))),
        ("signing_keys", Column("retired_at", _INSTANT)),
    )


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


def _of_user(table: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id")


def upgrade() -> None:
    """Adds columns and tables."""
    for table, column in _added():
        op.add_column(table, column)
    _create(
        "registrations",
        Column("token_digest", _DIGEST, nullable=False),
        Column("email", String(254), nullable=False),
        Column("password_hash", String(255), nullable=False),
        Column("full_name", String(200), nullable=False),
        Column("timezone", String(64), nullable=False),
        Column("phone", String(40)),
        Column("birth_date", Date),
        Column("expires_at", _INSTANT, nullable=False),
        PrimaryKeyConstraint("token_digest", name="pk_registrations"),
    )
    _index("registrations", "expires_at")
    _create(
        "password_resets",
        Column("token_digest", _DIGEST, nullable=False),
        Column("user_id", _ID, nullable=False),
        Column("expires_at", _INSTANT, nullable=False),
        PrimaryKeyConstraint("token_digest", name="pk_password_resets"),
        _of_user("password_resets"),
    )
    _index("password_resets", "user_id")
    _index("password_resets", "expires_at")
    _create(
        "second_factors",
        Column("user_id", _ID, nullable=False),
        Column("sealed", Text, nullable=False),
        Column("created_at", _INSTANT, nullable=False),
        Column("confirmed_at", _INSTANT),
        Column("last_step", Integer),
        PrimaryKeyConstraint("user_id", name="pk_second_factors"),
        _of_user("second_factors"),
    )
    _create(
        "recovery_codes",
        Column("user_id", _ID, nullable=False),
        Column("code_digest", _DIGEST, nullable=False),
        PrimaryKeyConstraint("user_id", "code_digest", name="pk_recovery_codes"),
        _of_user("recovery_codes"),
    )
    _create(
        "policies",
        Column("name", String(80), nullable=False),
        Column("value", String(255), nullable=False),
        Column("updated_at", _INSTANT, nullable=False),
        PrimaryKeyConstraint("name", name="pk_policies"),
    )
    _create(
        "erasures",
        Column("user_id", _ID, nullable=False),
        Column("requested_at", _INSTANT, nullable=False),
        Column("next_try_at", _INSTANT, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("done_at", _INSTANT),
        PrimaryKeyConstraint("user_id", name="pk_erasures"),
        _of_user("erasures"),
    )
    _index("erasures", "done_at", "next_try_at")
    # No foreign keys: what happened stays, whatever becomes of whom it happened to.
    _create(
        "audit_log",
        Column("id", _ID, nullable=False),
        Column("at", _INSTANT, nullable=False),
        Column("action", String(40), nullable=False),
        Column("outcome", String(40), nullable=False),
        Column("actor_id", String(80)),
        Column("actor_role", String(16)),
        Column("subject_id", String(80)),
        Column("address", String(45)),
        Column("request_id", String(128)),
        Column("details", String(255)),
        PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    _index("audit_log", "actor_id", "id")
    _index("audit_log", "subject_id", "id")
    _index("audit_log", "action", "id")


def downgrade() -> None:
    """Takes them away again."""
    for table in (
        "audit_log",
        "erasures",
        "policies",
        "recovery_codes",
        "second_factors",
        "password_resets",
        "registrations",
    ):
        op.drop_table(table)
    for table, column in reversed(_added()):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column.name)
