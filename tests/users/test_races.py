"""Logins that meet a change of what they have just verified, and what changes meet of logins."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient
from sqlalchemy.util import await_only

from servicekit.ids import new_id
from servicekit.testing import FakeClock
from tests.users.api import PASSWORD, Api
from tests.users.test_second_factors import begun, login, outcome, require, set_up
from tests.users.test_store import make, noted, token
from users_service.app import create_app
from users_service.domain.credentials import Credentials, Verified
from users_service.domain.erasures import closed
from users_service.domain.second_factors import FactorState
from users_service.domain.users import Role, Status, User, email_key
from users_service.settings import UsersSettings
from users_service.store_mysql import MySQLStore, open_store

NEW = "another phrase, longer"

Change = Callable[[MySQLStore, User, FakeClock], Awaitable[Any]]


async def replaced(store: MySQLStore, user: User, clock: FakeClock) -> None:
    assert await store.replace_password(user.id, "old", "new", clock(), noted(clock))


async def reset(store: MySQLStore, user: User, clock: FakeClock) -> None:
    digest, later = new_id(clock()), clock() + timedelta(hours=1)
    assert await store.add_reset(email_key(user.email), digest, later, noted(clock))
    assert await store.use_reset(digest, user.id, "new", clock(), noted(clock))


async def disabled(store: MySQLStore, user: User, clock: FakeClock) -> None:
    after = replace(user, status=Status.DISABLED, version=2)
    assert await store.change_user(user, after, noted(clock))


async def promoted(store: MySQLStore, user: User, clock: FakeClock) -> None:
    assert await store.change_user(user, replace(user, role=Role.ADMIN, version=2), noted(clock))


async def closed_for_good(store: MySQLStore, user: User, clock: FakeClock) -> None:
    assert await store.close_user(user, closed(user, clock()), noted(clock))


async def confirmed(store: MySQLStore, user: User, clock: FakeClock) -> None:
    assert await store.begin_factor(user.id, "sealed", clock())
    assert await store.confirm_factor(
        user.id, "sealed", 1, ["0" * 64], "none", clock(), noted(clock)
    )


async def required(store: MySQLStore, user: User, clock: FakeClock) -> None:
    await store.save_factor_roles(frozenset({user.role}), clock(), noted(clock))


async def verified_of(store: MySQLStore, clock: FakeClock) -> Verified:
    """What a login of a new doctor has verified."""
    user = make(clock, role=Role.DOCTOR)
    await store.add_user(user, "old", noted(clock))
    return Verified(Credentials(user, "old"), await store.factor_state(user.id))


async def begin(store: MySQLStore, verified: Verified, clock: FakeClock) -> bool:
    first = token(clock, new_id(clock()), 1)
    return await store.begin_family(verified, first, clock(), None, noted(clock))


async def sessions_of(store: MySQLStore, user: User, clock: FakeClock) -> int:
    return len(await store.sessions(user.id, clock(), "", 100))


@pytest.mark.parametrize(
    "change", [replaced, reset, disabled, promoted, closed_for_good, confirmed, required]
)
async def test_no_session_begins_when_what_was_verified_is_so_no_more(
    store: MySQLStore, clock: FakeClock, change: Change
) -> None:
    verified = await verified_of(store, clock)
    assert await begin(store, verified, clock)
    await change(store, verified.credentials.user, clock)
    before = await sessions_of(store, verified.credentials.user, clock)
    assert not await begin(store, verified, clock)
    assert await sessions_of(store, verified.credentials.user, clock) == before


async def test_what_does_not_matter_keeps_nobody_out(store: MySQLStore, clock: FakeClock) -> None:
    """Another name, a factor that is only begun, and one that is sealed anew."""
    verified = await verified_of(store, clock)
    user = verified.credentials.user
    await store.change_user(user, replace(user, full_name="B", version=2), noted(clock))
    assert await store.begin_factor(user.id, "sealed", clock())
    assert await begin(store, verified, clock)
    await store.confirm_factor(user.id, "sealed", 1, ["0" * 64], "none", clock(), noted(clock))
    state = await store.factor_state(user.id)
    assert await store.reseal_factor(user.id, "sealed", "anew")
    assert await begin(store, Verified(verified.credentials, state), clock)


@dataclass(frozen=True, slots=True)
class Pausing(Verified):
    """What is compared only once the test goes on, in the middle of the transaction."""

    reached: asyncio.Event
    goes_on: asyncio.Event

    def still_holds(self, credentials: Credentials | None, factors: FactorState) -> bool:
        self.reached.set()
        await_only(self.goes_on.wait())
        return Verified.still_holds(self, credentials, factors)


@pytest.mark.parametrize("change", [replaced, reset, disabled, closed_for_good, confirmed])
async def test_a_change_waits_for_a_login_and_ends_what_it_begins(
    store: MySQLStore, clock: FakeClock, change: Change
) -> None:
    verified = await verified_of(store, clock)
    user = verified.credentials.user
    reached, goes_on = asyncio.Event(), asyncio.Event()
    pausing = Pausing(verified.credentials, verified.factors, reached, goes_on)
    beginning = asyncio.create_task(begin(store, pausing, clock))
    await reached.wait()
    changing = asyncio.ensure_future(change(store, user, clock))
    # One that doesn't wait is done by now, and hasn't ended what begins only then.
    await asyncio.wait([changing], timeout=0.5)
    goes_on.set()
    assert await beginning
    await changing
    assert await sessions_of(store, user, clock) == 0


class Meeting(MySQLStore):
    """A store to which something happens just before a session begins, once."""

    happens: Callable[[], Awaitable[Any]] | None = None

    async def begin_family(self, *arguments: Any) -> bool:
        happens, self.happens = self.happens, None
        if happens is not None:
            await happens()
        return await super().begin_family(*arguments)


@pytest.fixture
async def meeting(settings: UsersSettings) -> AsyncIterator[Meeting]:
    async with open_store(settings.database_url.get_secret_value(), pool_size=2) as store:
        yield Meeting(store._database)


@pytest.fixture
async def met(
    settings: UsersSettings, clock: FakeClock, meeting: Meeting, aiohttp_client: AiohttpClient
) -> Api:
    """An instance over it."""

    @asynccontextmanager
    async def opened(_settings: object, _calls: object) -> AsyncIterator[Meeting]:
        yield meeting

    return Api(await aiohttp_client(create_app(settings, clock=clock, open_store=opened)))


async def test_a_login_by_the_old_password_as_it_changes_is_refused(
    api: Api, met: Api, meeting: Meeting
) -> None:
    ana = await api.patient()

    async def change() -> None:
        body = {"current_password": PASSWORD, "new_password": NEW}
        await api.ok("POST", "/v1/auth/password", body, by=ana)

    meeting.happens = change
    assert await outcome(await login(met, ana.email, None)) == (401, "bad_credentials")
    assert (await login(met, ana.email, None, NEW)).status == 200


async def test_a_login_as_a_second_factor_is_confirmed_is_asked_for_it(
    api: Api, met: Api, meeting: Meeting, clock: FakeClock
) -> None:
    ana = await api.patient()
    device = await begun(api, ana, clock)

    async def confirm() -> None:
        path, body = "/v1/auth/second-factor/confirm", {"code": device.code()}
        await api.ok("POST", path, body, by=ana)

    meeting.happens = confirm
    assert await outcome(await login(met, ana.email, None)) == (401, "second_factor_required")


async def test_a_login_as_a_factor_is_required_only_lets_set_one_up(
    api: Api, met: Api, meeting: Meeting
) -> None:
    admin = await api.admin()
    bob = await api.staff("doctor", by=admin)
    meeting.happens = lambda: require(api, admin, "doctor")
    pair = await (await login(met, bob.email, None)).json()
    await api.refused(403, "forbidden", "GET", "/v1/auth/sessions", by=pair["access_token"])


async def test_a_code_is_not_asked_for_again_as_the_role_changes(
    api: Api, met: Api, meeting: Meeting, clock: FakeClock
) -> None:
    admin, ana = await api.admin(), await api.patient()
    device, _ = await set_up(api, ana, clock)

    async def promote() -> None:
        await api.ok("PATCH", f"/v1/users/{ana.id}", {"role": "doctor"}, by=admin)

    meeting.happens = promote
    answer = await login(met, ana.email, device.next())
    assert answer.status == 200
    assert len((await api.ok("GET", "/v1/auth/sessions", by=ana))["items"]) == 2


async def test_a_role_that_takes_a_factor_is_not_had_by_an_older_token(
    api: Api, clock: FakeClock
) -> None:
    """Where anybody may call, what the account's role may do comes with the factor."""
    admin, ana, eve = await api.admin(), await api.patient(), await api.patient()
    await set_up(api, admin, clock)
    await require(api, admin, "admin")
    await api.ok("PATCH", f"/v1/users/{ana.id}", {"role": "admin"}, by=admin)
    path = f"/v1/users/{eve.id}"
    await api.refused(403, "forbidden", "GET", path, by=ana)
    await api.refused(403, "forbidden", "PATCH", path, {"status": "disabled"}, by=ana)
    await set_up(api, ana, clock)
    await api.ok("GET", path, by=ana)


async def test_a_recovery_code_and_a_step_are_one_s(store: MySQLStore, clock: FakeClock) -> None:
    verified = await verified_of(store, clock)
    user = verified.credentials.user
    await confirmed(store, user, clock)
    codes = await asyncio.gather(*(store.use_recovery_code(user.id, "0" * 64) for _ in range(9)))
    steps = await asyncio.gather(*(store.use_step(user.id, "sealed", 2) for _ in range(9)))
    assert (codes.count(True), steps.count(True)) == (1, 1)
    assert not await store.use_step(user.id, "sealed", 1)  # one before is over as well


async def test_one_code_at_two_instances_at_once_is_one_login(
    api: Api, met: Api, clock: FakeClock
) -> None:
    ana = await api.patient()
    device, codes = await set_up(api, ana, clock)
    for code in (device.next(), codes[0]):
        answers = await asyncio.gather(*(login(one, ana.email, code) for one in (api, met) * 2))
        assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]
