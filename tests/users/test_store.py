"""What the port promises, on each database."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from servicekit.ids import new_id
from servicekit.testing import FakeClock
from users_service.domain.audit import SYSTEM, Action, Entry, Outcome
from users_service.domain.credentials import Credentials, Verified
from users_service.domain.sessions import Failure, RefreshToken, token_digest
from users_service.domain.users import Role, Status, User
from users_service.errors import EmailTakenError, LastAdminError
from users_service.store import DoctorFilter, UserFilter
from users_service.store_mysql import MySQLStore, open_store


def make(clock: FakeClock, **changes: Any) -> User:
    user_id = new_id(clock())
    user = User(
        id=user_id,
        email=f"{user_id}@example.org",
        full_name="Ana Silva",
        role=Role.PATIENT,
        timezone="UTC",
        phone=None,
        birth_date=None,
        status=Status.ACTIVE,
        version=1,
        created_at=clock(),
        updated_at=clock(),
    )
    return replace(user, **changes)


def token(clock: FakeClock, family: str, number: int) -> RefreshToken:
    digest = token_digest(f"{family} {number}")
    return RefreshToken(digest, family, number, clock() + timedelta(days=1))


def noted(clock: FakeClock) -> Entry:
    """What a change leaves in the log, where the test isn't about that."""
    return Entry(new_id(clock()), clock(), Action.SIGN_IN, Outcome.DONE, SYSTEM)


async def begin(store: MySQLStore, user: User, first: RefreshToken, clock: FakeClock) -> bool:
    """Begins a family of an account as it is, whose password's hash is empty."""
    verified = Verified(Credentials(user, ""), await store.factor_state(user.id))
    return await store.begin_family(verified, first, clock(), None, noted(clock))


async def test_an_account_comes_back_as_it_went(store: MySQLStore, clock: FakeClock) -> None:
    clock.advance(timedelta(microseconds=123456))
    user = make(
        clock, full_name="Zoë 🌻  ", phone="123", birth_date=date(1900, 1, 1), role=Role.DOCTOR
    )
    await store.add_user(user, "hash", noted(clock))
    assert await store.user(user.id) == user
    credentials = await store.credentials(user.email)
    assert credentials is not None
    assert (credentials.user, credentials.password_hash) == (user, "hash")
    assert await store.user("nobody") is None
    assert await store.credentials("nobody") is None
    assert await store.credentials(f"{user.email} ") is None


async def test_addresses_are_taken_by_their_key(store: MySQLStore, clock: FakeClock) -> None:
    await store.add_user(make(clock, email="Ana@b.example"), "", noted(clock))
    with pytest.raises(EmailTakenError):
        await store.add_user(make(clock, email="aNA@B.example", role=Role.DOCTOR), "", noted(clock))
    await store.add_user(make(clock, email="aná@b.example"), "", noted(clock))
    assert await store.doctors(DoctorFilter(), "", 10) == []
    assert len(await store.users(UserFilter(), "", 10)) == 2


async def test_an_account_is_changed_by_compare_and_set(
    store: MySQLStore, clock: FakeClock
) -> None:
    user = make(clock)
    await store.add_user(user, "", noted(clock))
    changed = replace(user, full_name="B", version=2)
    assert await store.change_user(user, changed, noted(clock))
    assert not await store.change_user(user, replace(user, full_name="C", version=2), noted(clock))
    assert await store.user(user.id) == changed


async def test_a_hash_is_changed_by_compare_and_set(store: MySQLStore, clock: FakeClock) -> None:
    user = make(clock)
    await store.add_user(user, "first", noted(clock))
    await store.change_password_hash(user.id, "other", "second")
    for _ in range(2):
        await store.change_password_hash(user.id, "first", "third")
    credentials = await store.credentials(user.email)
    assert credentials is not None
    assert credentials.password_hash == "third"


async def test_an_admin_remains(store: MySQLStore, clock: FakeClock) -> None:
    admins = [make(clock, role=Role.ADMIN) for _ in range(5)]
    for admin in admins:
        await store.add_user(admin, "", noted(clock))
    results = await asyncio.gather(
        *(
            store.change_user(
                admin, replace(admin, status=Status.DISABLED, version=2), noted(clock)
            )
            for admin in admins
        ),
        return_exceptions=True,
    )
    assert results.count(True) == 4
    assert [type(result) for result in results if result is not True] == [LastAdminError]
    active = await store.users(UserFilter(role=Role.ADMIN, status=Status.ACTIVE), "", 10)
    assert len(active) == 1


async def test_disabling_ends_sessions(store: MySQLStore, clock: FakeClock) -> None:
    user = make(clock)
    await store.add_user(user, "", noted(clock))
    first = token(clock, new_id(clock()), 1)
    await begin(store, user, first, clock)
    await store.change_user(user, replace(user, status=Status.DISABLED, version=2), noted(clock))
    presented = await store.presented(first.digest)
    assert presented is not None
    assert presented.family_ended
    assert not presented.user.is_active


async def test_one_of_many_spends_a_token(store: MySQLStore, clock: FakeClock) -> None:
    user, family = make(clock), new_id(clock())
    await store.add_user(user, "", noted(clock))
    first, second = token(clock, family, 1), token(clock, family, 2)
    await begin(store, user, first, clock)
    results = await asyncio.gather(*(store.spend(first.digest, second, clock()) for _ in range(20)))
    assert results.count(True) == 1
    presented = await store.presented(first.digest)
    assert presented is not None
    assert presented.token == replace(first, spent_at=clock())
    successor = await store.presented(second.digest)
    assert successor is not None
    assert successor.token == second


async def test_a_token_of_an_ended_family_is_not_spent(store: MySQLStore, clock: FakeClock) -> None:
    user, family = make(clock), new_id(clock())
    await store.add_user(user, "", noted(clock))
    first, second = token(clock, family, 1), token(clock, family, 2)
    await begin(store, user, first, clock)
    await store.end_family(family, clock(), noted(clock))
    assert not await store.spend(first.digest, second, clock())
    assert await store.presented(second.digest) is None


async def test_failures_come_newest_first(store: MySQLStore, clock: FakeClock) -> None:
    made = []
    for n in range(5):
        clock.advance(timedelta(seconds=1))
        made.append(Failure(f"{n:064}", clock()))
        await store.add_failure("192.0.2.1", made[-1], None)
        await store.add_failure("192.0.2.2", made[-1], None)
    found = await store.failures("192.0.2.1", clock() - timedelta(seconds=4), 3)
    assert found == made[:1:-1]
    assert await store.failures("192.0.2.1", clock() - timedelta(seconds=1), 3) == made[-1:]
    assert await store.failures("192.0.2.3", clock() - timedelta(days=1), 3) == []


async def test_an_assertion_is_used_once(store: MySQLStore, clock: FakeClock) -> None:
    ends = clock() + timedelta(minutes=1)
    results = await asyncio.gather(
        *(store.use_assertion("a", "x", ends, noted(clock)) for _ in range(10))
    )
    assert results.count(True) == 1
    assert await store.use_assertion("b", "x", ends, noted(clock))
    assert await store.use_assertion("a", "x ", ends, noted(clock))


async def test_what_is_over_is_forgotten(store: MySQLStore, clock: FakeClock) -> None:
    user = make(clock)
    await store.add_user(user, "", noted(clock))
    old, young = token(clock, new_id(clock()), 1), token(clock, new_id(clock()), 1)
    await begin(store, user, old, clock)
    await store.use_assertion("a", "x", clock(), noted(clock))
    await store.add_failure("192.0.2.1", Failure("0" * 64, clock()), None)
    clock.advance(timedelta(hours=1))
    young = replace(young, expires_at=clock() + timedelta(days=1))
    await begin(store, user, young, clock)
    await store.add_failure("192.0.2.1", Failure("0" * 64, clock()), None)
    clock.advance(timedelta(hours=23, seconds=1))
    await store.add_failure("192.0.2.1", Failure("0" * 64, clock()), None)
    # The old token and its family, one assertion, two failures.
    assert await store.forget(clock()) == 5
    assert await store.forget(clock()) == 0
    assert await store.presented(old.digest) is None
    assert await store.presented(young.digest) is not None
    assert len(await store.failures("192.0.2.1", clock() - timedelta(days=9), 10)) == 1


async def test_a_transaction_given_up_leaves_nothing_behind(
    database_url: str, clock: FakeClock
) -> None:
    """Neither a change nor a connection that is still in the middle of something."""
    async with open_store(database_url, pool_size=2) as store:
        users = [make(clock) for _ in range(20)]
        for delay in range(20):
            task = asyncio.create_task(store.add_user(users[delay], "", noted(clock)))
            for _ in range(delay):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for user in users:
            if await store.user(user.id) is None:
                await store.add_user(user, "", noted(clock))
        assert len(await store.users(UserFilter(), "", 100)) == 20


async def test_many_readers_share_few_connections(store: MySQLStore, clock: FakeClock) -> None:
    user = make(clock)
    await store.add_user(user, "", noted(clock))
    found = await asyncio.gather(*(store.user(user.id) for _ in range(100)))
    assert found == [user] * 100
