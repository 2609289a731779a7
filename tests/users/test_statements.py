"""How much is asked of the database: counted where the driver is called."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event

from tests.users.api import Api


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement of every engine, in order, but for what an instance looks for by itself."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM erasures" not in statement:
            asked.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


async def test_who_calls_and_what_is_answered_is_one_statement(
    api: Api, statements: list[str]
) -> None:
    ana = await api.patient()
    statements.clear()
    for path in ("/v1/users/me", f"/v1/users/{ana.id}"):
        await api.ok("GET", path, by=ana)
    assert len(statements) == 2
    assert all(statement.startswith("SELECT") for statement in statements)


async def test_another_s_data_takes_the_audit_log_s_insert_besides(
    api: Api, statements: list[str]
) -> None:
    """Who calls, what is asked for, and that it was: a read is shown only once it is recorded."""
    admin, ana = await api.admin(), await api.patient()
    for path, selects in ((f"/v1/users/{ana.id}", 2), ("/v1/users", 2), ("/v1/users/audit", 2)):
        statements.clear()
        await api.ok("GET", path, by=admin)
        assert [one.split()[0] for one in statements] == ["SELECT"] * selects + ["INSERT"]
        assert statements[-1].startswith("INSERT INTO audit_log")


async def test_public_pages_are_one_statement(api: Api, statements: list[str]) -> None:
    bob = await api.staff("doctor", by=await api.admin())
    statements.clear()
    for path in ("/v1/doctors", "/v1/doctors?q=x&specialty=y&limit=1", f"/v1/doctors/{bob.id}"):
        await api.ok("GET", path)
    assert len(statements) == 3


async def test_published_keys_and_refused_tokens_ask_nothing(
    api: Api, statements: list[str]
) -> None:
    await api.ok("GET", "/.well-known/jwks.json")
    statements.clear()
    await api.ok("GET", "/.well-known/jwks.json")
    await api.refused(401, "invalid_token", "GET", "/v1/users/me", by="a.b.c")
    assert statements == []
