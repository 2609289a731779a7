"""Other passwords: changed by their owner, or set by a mailed token."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from pytest_aiohttp.plugin import AiohttpClient
from sqlalchemy import select

from servicekit.mail import MailUnavailableError
from servicekit.testing import FakeClock, FakeMailer
from tests.users.api import PASSWORD, Api, Person
from tests.users.conftest import Instance
from tests.users.mailed import BASE, Mailed, start, watched
from tests.users.test_second_factors import login, outcome, set_up
from users_service.settings import UsersSettings
from users_service.store_mysql import MySQLStore
from users_service.store_mysql.tables import password_resets

NEW = "another phrase, longer"
CHANGE = "/v1/auth/password"
RESET = "/v1/auth/password-reset"
CONFIRM = "/v1/auth/password-reset/confirm"


@pytest.fixture
async def mailed(
    settings: UsersSettings, clock: FakeClock, aiohttp_client: AiohttpClient, api: Api
) -> Mailed:
    """An instance beside `api`'s, over its database."""
    posted = settings.model_copy(update={"public_url": BASE})
    return await start(posted, clock, aiohttp_client, FakeMailer())


async def is_password(api: Api, person: Person, password: str) -> bool:
    response = await api.login(person.email, password, address="198.51.100.9")
    assert response.status in (200, 401)
    return response.status == 200


async def reset(mailed: Mailed, email: str, *, count: int = 1) -> str:
    await mailed.ask(RESET, {"email": email})
    return await mailed.token(count)


async def test_a_change_takes_the_present_password_and_ends_every_session(mailed: Mailed) -> None:
    api = mailed.api
    ana, bob = await api.patient(), await api.patient()
    elsewhere = await api.sign_in(ana.email)
    await api.ok("POST", CHANGE, {"current_password": PASSWORD, "new_password": NEW}, by=ana)
    for token in (ana.refresh, elsewhere.refresh):
        await api.refused(
            401, "invalid_refresh_token", "POST", "/v1/auth/refresh", {"refresh_token": token}
        )
    await api.ok("POST", "/v1/auth/refresh", {"refresh_token": bob.refresh})
    assert await is_password(api, ana, NEW)
    assert not await is_password(api, ana, PASSWORD)
    assert await is_password(api, bob, PASSWORD)
    assert await mailed.mails(1) == [(ana.email, "Your password was changed")]


async def test_a_stolen_token_does_not_guess_the_password(api: Api, clock: FakeClock) -> None:
    ana = await api.patient()
    wrong = {"current_password": "not this one", "new_password": NEW}
    options = {"by": ana, "headers": {"X-Forwarded-For": "192.0.2.7"}}
    for _ in range(10):
        await api.refused(401, "bad_credentials", "POST", CHANGE, wrong, **options)
    right = {"current_password": PASSWORD, "new_password": NEW}
    answer = await api.refused(429, "too_many_attempts", "POST", CHANGE, right, **options)
    assert int(answer.headers["Retry-After"]) == 900
    assert (await api.login(ana.email, address="192.0.2.7")).status == 429
    clock.advance(timedelta(minutes=14))  # the token is still good
    assert (await api.login(ana.email, address="192.0.2.8")).status == 200


async def test_a_change_wants_a_token_and_a_good_password(api: Api) -> None:
    ana = await api.patient()
    right = {"current_password": PASSWORD, "new_password": NEW}
    await api.refused(401, "invalid_token", "POST", CHANGE, right)
    for weak in ("short", "password12345", "x" * 129, f"{ana.email}1"):
        body = {**right, "new_password": weak}
        await api.refused(422, "weak_password", "POST", CHANGE, body, by=ana)
    await api.ok("POST", "/v1/auth/refresh", {"refresh_token": ana.refresh})
    assert await is_password(api, ana, PASSWORD)


async def test_of_two_changes_at_once_one_counts(api: Api, instance: Instance) -> None:
    ana, other = await api.patient(), await instance()
    bodies = [{"current_password": PASSWORD, "new_password": f"{NEW} {n}"} for n in range(2)]
    answers = await asyncio.gather(
        *(
            one.call("POST", CHANGE, body, by=ana)
            for one, body in zip((api, other), bodies, strict=True)
        )
    )
    statuses = [answer.status for answer in answers]
    assert sorted(statuses) == [204, 401]
    winner = bodies[statuses.index(204)]["new_password"]
    assert await is_password(api, ana, winner)


async def test_a_mailed_token_sets_the_password_once(mailed: Mailed) -> None:
    api = mailed.api
    ana = await api.patient(email="Ana@Example.org")
    # Asked for in another way of writing it, mailed as the account has it.
    token = await reset(mailed, "aNA@example.ORG")
    assert mailed.mailer.sent[0].to == "Ana@Example.org"
    body = {"token": token, "new_password": NEW}
    await api.ok("POST", CONFIRM, body)
    assert await is_password(api, ana, NEW)
    assert not await is_password(api, ana, PASSWORD)
    await api.refused(
        401, "invalid_refresh_token", "POST", "/v1/auth/refresh", {"refresh_token": ana.refresh}
    )
    await api.refused(401, "invalid_reset_token", "POST", CONFIRM, body)
    assert (await mailed.mails(2))[1] == (ana.email, "Your password was changed")


async def test_a_mailed_token_leaves_the_second_factor(mailed: Mailed, clock: FakeClock) -> None:
    api = mailed.api
    ana = await api.patient()
    device, _ = await set_up(api, ana, clock)
    token = await reset(mailed, ana.email, count=2)  # after the one that tells of the factor
    await api.ok("POST", CONFIRM, {"token": token, "new_password": NEW})
    answer = await login(api, ana.email, None, NEW)
    assert await outcome(answer) == (401, "second_factor_required")
    assert (await login(api, ana.email, device.next(), NEW)).status == 200


async def test_a_weak_password_leaves_the_token_good(mailed: Mailed) -> None:
    ana = await mailed.api.patient()
    token = await reset(mailed, ana.email)
    for weak in ("short", f"{ana.email}1"):
        body = {"token": token, "new_password": weak}
        await mailed.api.refused(422, "weak_password", "POST", CONFIRM, body)
    await mailed.api.ok("POST", CONFIRM, {"token": token, "new_password": NEW})


async def test_a_token_ends_after_an_hour(mailed: Mailed, clock: FakeClock) -> None:
    ana = await mailed.api.patient()
    token = await reset(mailed, ana.email)
    clock.advance(timedelta(hours=1))
    body = {"token": token, "new_password": NEW}
    await mailed.api.refused(401, "invalid_reset_token", "POST", CONFIRM, body)
    token = await reset(mailed, ana.email, count=2)
    clock.advance(timedelta(minutes=59, seconds=59))
    await mailed.api.ok("POST", CONFIRM, {"token": token, "new_password": NEW})


async def test_older_tokens_are_good_until_one_is_used(mailed: Mailed) -> None:
    ana = await mailed.api.patient()
    older = await reset(mailed, ana.email)
    newer = await reset(mailed, ana.email, count=2)
    assert older != newer
    await mailed.api.ok("POST", CONFIRM, {"token": older, "new_password": NEW})
    body = {"token": newer, "new_password": PASSWORD}
    await mailed.api.refused(401, "invalid_reset_token", "POST", CONFIRM, body)


async def test_a_change_ends_mailed_tokens(mailed: Mailed) -> None:
    api, ana = mailed.api, await mailed.api.patient()
    token = await reset(mailed, ana.email)
    await api.ok("POST", CHANGE, {"current_password": PASSWORD, "new_password": NEW}, by=ana)
    body = {"token": token, "new_password": PASSWORD}
    await api.refused(401, "invalid_reset_token", "POST", CONFIRM, body)


async def test_of_many_who_use_a_token_at_once_one_does(mailed: Mailed, instance: Instance) -> None:
    ana, other = await mailed.api.patient(), await instance()
    token = await reset(mailed, ana.email)
    answers = await asyncio.gather(
        *(
            one.call("POST", CONFIRM, {"token": token, "new_password": f"{NEW} {number}"})
            for number, one in enumerate((mailed.api, other) * 3)
        )
    )
    statuses = [answer.status for answer in answers]
    assert Counter(statuses) == {204: 1, 401: 5}
    assert await is_password(other, ana, f"{NEW} {statuses.index(204)}")


@pytest.mark.parametrize("token", ["x", "é" * 43, "A" * 43, "A" * 1024, "a\nb"])
async def test_what_was_never_mailed_is_no_token(api: Api, token: str) -> None:
    body = {"token": token, "new_password": NEW}
    await api.refused(401, "invalid_reset_token", "POST", CONFIRM, body)


async def test_the_database_holds_no_token(mailed: Mailed, store: MySQLStore) -> None:
    ana = await mailed.api.patient()
    token = await reset(mailed, ana.email)
    rows = await store._database.fetch(select(password_resets))
    assert [len(row.token_digest) for row in rows] == [64]
    assert all(token not in str(row) for row in rows)


async def test_a_disabled_account_gets_no_mail_and_its_token_no_password(mailed: Mailed) -> None:
    api = mailed.api
    admin, ana, bob = await api.admin(), await api.patient(), await api.patient()
    token = await reset(mailed, ana.email)
    await api.ok("PATCH", f"/v1/users/{ana.id}", {"status": "disabled"}, by=admin)
    body = {"token": token, "new_password": NEW}
    await api.refused(401, "invalid_reset_token", "POST", CONFIRM, body)
    await mailed.ask(RESET, {"email": ana.email})
    await reset(mailed, bob.email, count=2)
    assert [to for to, _ in await mailed.mails(2)] == [ana.email, bob.email]


async def test_unknown_and_known_take_the_same_work(mailed: Mailed) -> None:
    ana = await mailed.api.patient()
    async with watched() as work:
        await mailed.ask(RESET, {"email": ana.email})
        known = work.take()
        await mailed.ask(RESET, {"email": "nobody@example.org"})
        assert work.take() == known
    inserts = [statement.split()[2] for statement in known if statement.startswith("INSERT")]
    assert inserts == ["login_attempts", "login_attempts", "password_resets", "audit_log"]
    assert [to for to, _ in await mailed.mails(1)] == [ana.email]


async def test_mails_are_limited_alike_for_all_and_the_answer_is_the_same(
    mailed: Mailed, clock: FakeClock
) -> None:
    ana, bob = await mailed.api.patient(), await mailed.api.patient()
    async with watched() as work:
        counts = {}
        for email in (ana.email, "nobody@example.org"):
            for _ in range(3):
                await mailed.ask(RESET, {"email": email})
            work.take()
            # Whoever asks: the limit is the account's.
            await mailed.ask(RESET, {"email": email}, address="198.51.100.1")
            counts[email] = len(work.take())
    assert len(set(counts.values())) == 1
    for number in range(20 - 6):
        await mailed.ask(RESET, {"email": f"nobody{number}@example.org"})
    await mailed.ask(RESET, {"email": bob.email})  # too many from there
    await mailed.ask(RESET, {"email": bob.email}, address="198.51.100.2")
    assert [to for to, _ in await mailed.mails(4)] == [ana.email] * 3 + [bob.email]
    clock.advance(timedelta(hours=1))
    await reset(mailed, ana.email, count=5)


async def test_of_many_asked_for_at_once_no_more_than_the_limit_are_sent(
    mailed: Mailed,
) -> None:
    ana, bob = await mailed.api.patient(), await mailed.api.patient()
    await asyncio.gather(*(mailed.ask(RESET, {"email": ana.email}) for _ in range(8)))
    await mailed.ask(RESET, {"email": bob.email})
    while not any(mail.to == bob.email for mail in mailed.mailer.sent):
        mailed.mailer.reached.clear()
        await mailed.mailer.reached.wait()
        await asyncio.sleep(0)
    assert sum(mail.to == ana.email for mail in mailed.mailer.sent) <= 3


async def test_asking_for_mails_blocks_no_login(mailed: Mailed) -> None:
    ana = await mailed.api.patient()
    for _ in range(25):
        await mailed.ask(RESET, {"email": ana.email})
    assert (await mailed.api.login(ana.email)).status == 200


async def test_a_mailer_that_fails_or_hangs_changes_no_answer(mailed: Mailed) -> None:
    ana, bob = await mailed.api.patient(), await mailed.api.patient()
    mailed.mailer.error = MailUnavailableError("away")
    await mailed.ask(RESET, {"email": ana.email})
    await mailed.tries(3)
    mailed.mailer.error = None
    mailed.mailer.free.clear()
    for _ in range(2):
        await mailed.ask(RESET, {"email": ana.email})
        await mailed.ask(RESET, {"email": bob.email})
    await mailed.tries(7)  # all four hang
    assert mailed.mailer.sent == []
    mailed.mailer.free.set()
    await mailed.mails(4)


@pytest.mark.parametrize(
    "email",
    ["ana@example.org\r\nBcc: eve@example.org", "ana@example.org\n", "no address", "", "a@b"],
)
async def test_what_could_begin_a_header_is_no_address(mailed: Mailed, email: str) -> None:
    await mailed.api.refused(422, "validation_failed", "POST", RESET, {"email": email})
    assert mailed.mailer.tries == 0


async def test_what_is_over_is_forgotten(
    mailed: Mailed, store: MySQLStore, clock: FakeClock
) -> None:
    ana = await mailed.api.patient()
    await reset(mailed, ana.email)
    clock.advance(timedelta(hours=1))
    assert await store.forget(clock()) == 0
    clock.advance(timedelta(seconds=1))
    # The token, and what it was counted by, twice.
    assert await store.forget(clock()) == 3


async def test_that_a_reset_was_asked_for_is_recorded_and_not_told(mailed: Mailed) -> None:
    api = mailed.api
    admin, ana = await api.admin(), await api.patient()
    for address in (ana.email, "nobody@example.org"):
        await mailed.ask(RESET, {"email": address})
    assert await mailed.mails(1) == [(ana.email, "Set a new password")]
    page = await api.ok("GET", "/v1/users/audit?action=password_reset_asked", by=admin)
    told = {(one["subject_id"], one["outcome"]) for one in page["items"]}
    assert told == {(ana.id, "done"), (None, "refused")}
    assert all(one["actor_id"] is None for one in page["items"])
    assert all(one["address"] == "192.0.2.1" for one in page["items"])


async def test_disabling_voids_what_was_mailed(mailed: Mailed) -> None:
    api = mailed.api
    admin, ana = await api.admin(), await api.patient()
    token = await reset(mailed, ana.email)
    for status in ("disabled", "active"):
        await api.ok("PATCH", f"/v1/users/{ana.id}", {"status": status}, by=admin)
    body = {"token": token, "new_password": NEW}
    await api.refused(401, "invalid_reset_token", "POST", CONFIRM, body)
    assert await is_password(api, ana, PASSWORD)
