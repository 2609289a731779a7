"""What ./dev audit says of sessions, on each database."""

from dataclasses import replace

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.util import greenlet_spawn

from servicekit.ids import new_id
from servicekit.testing import FakeClock
from tests.users.test_store import begin, make, noted, token
from tools.audit.sessions import audit_sessions
from users_service.store_mysql import MySQLStore
from users_service.store_mysql.database import make_engine
from users_service.store_mysql.tables import refresh_tokens


async def execute(url: str, statement: object, values: dict[str, object] | None = None) -> None:
    engine = make_engine(url, pool_size=1)

    def run() -> None:
        with engine.connect() as connection:
            connection.execute(statement, values)  # type: ignore[call-overload]

    await greenlet_spawn(run)
    await greenlet_spawn(engine.dispose)


async def a_session(store: MySQLStore, clock: FakeClock, spent: int) -> str:
    """A family whose token was replaced so many times."""
    user, family = make(clock), new_id(clock())
    await store.add_user(user, "", noted(clock))
    assert await begin(store, user, token(clock, family, 1), clock)
    for number in range(1, spent + 1):
        digest, successor = token(clock, family, number).digest, token(clock, family, number + 1)
        assert await store.spend(digest, successor, clock())
    return family


async def test_sessions_that_were_used_ended_and_never_used_are_right(
    store: MySQLStore, database_url: str, clock: FakeClock
) -> None:
    assert await audit_sessions(database_url) == ({"refresh tokens": 0, "sessions": 0}, [])
    await a_session(store, clock, 0)
    await store.end_family(await a_session(store, clock, 3), clock(), noted(clock))
    await a_session(store, clock, 2)
    assert await audit_sessions(database_url) == ({"refresh tokens": 8, "sessions": 3}, [])


async def test_a_second_successor_is_named(
    store: MySQLStore, database_url: str, clock: FakeClock
) -> None:
    await a_session(store, clock, 2)
    family = await a_session(store, clock, 1)
    second = replace(token(clock, family, 3), digest="f" * 64)
    row = {"digest": second.digest, "family_id": family, "number": 3, "spent_at": None}
    await execute(database_url, insert(refresh_tokens), {**row, "expires_at": second.expires_at})
    _, breaches = await audit_sessions(database_url)
    assert breaches == [(6, f"session {family}", "2 of its tokens are unspent")]


async def test_a_token_that_has_a_successor_and_is_unspent_is_named(
    store: MySQLStore, database_url: str, clock: FakeClock
) -> None:
    family = await a_session(store, clock, 2)
    tokens = refresh_tokens.c
    await execute(database_url, update(refresh_tokens).values(spent_at=clock()))
    first = update(refresh_tokens).where(tokens.number == 1).values(spent_at=None)
    await execute(database_url, first)
    _, breaches = await audit_sessions(database_url)
    assert breaches == [(6, f"session {family}", "token 1 is unspent, and has a successor")]


async def test_a_database_that_is_away_is_an_error(tmp_path: object) -> None:
    with pytest.raises(SQLAlchemyError):
        await audit_sessions(f"sqlite+aiosqlite:///{tmp_path}/none/users.db")
