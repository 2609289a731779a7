"""Registering where an e-mail address has to be shown to be one's own."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_aiohttp.plugin import AiohttpClient

from servicekit.mail import MailRefusedError
from servicekit.testing import FakeClock, FakeMailer
from tests.users.api import PASSWORD, Api
from tests.users.conftest import settings_for
from tests.users.mailed import BASE, Mailed, start, watched
from users_service.service.passwords import PasswordHasher
from users_service.settings import UsersSettings
from users_service.store_mysql import MySQLStore

REGISTER = "/v1/auth/register"
CONFIRM = "/v1/auth/register/confirm"


@pytest.fixture
async def mailed(
    settings: UsersSettings, clock: FakeClock, aiohttp_client: AiohttpClient, api: Api
) -> Mailed:
    """An instance that has registrations confirmed, over the database of `api`'s, which doesn't."""
    verifying = settings.model_copy(update={"public_url": BASE, "registration": "verify"})
    return await start(verifying, clock, aiohttp_client, FakeMailer())


def registration(email: str, **fields: Any) -> dict[str, Any]:
    return {"email": email, "password": PASSWORD, "full_name": "Ana Silva", **fields}


def confirmation(token: str, password: str = PASSWORD) -> dict[str, str]:
    return {"token": token, "password": password}


async def register(mailed: Mailed, email: str, *, count: int = 1, **fields: Any) -> str:
    await mailed.ask(REGISTER, registration(email, **fields))
    return await mailed.token(count)


async def test_the_account_lives_once_the_token_is_confirmed(mailed: Mailed) -> None:
    api = mailed.api
    said: dict[str, Any] = {
        "timezone": "Europe/Lisbon",
        "phone": "+351 912",
        "birth_date": "1990-05-01",
    }
    token = await register(mailed, "Ana@Example.org", **said)
    assert (await api.login("ana@example.org")).status == 401
    response = await api.call("POST", CONFIRM, confirmation(token))
    assert response.status == 201
    user = await response.json()
    assert response.headers["Location"] == f"/v1/users/{user['id']}"
    assert {
        **said,
        "email": "Ana@Example.org",
        "role": "patient",
        "version": 1,
    }.items() <= user.items()
    ana = await api.sign_in("ana@example.org")
    assert await api.ok("GET", "/v1/users/me", by=ana) == user
    await api.refused(401, "invalid_registration_token", "POST", CONFIRM, confirmation(token))


async def test_who_did_not_register_does_not_make_the_account_by_confirming(
    mailed: Mailed, store: MySQLStore
) -> None:
    token = await register(mailed, "ana@example.org", password="a phrase of a thief")
    body = confirmation(token, "a phrase of the owner")
    await mailed.api.refused(401, "bad_credentials", "POST", CONFIRM, body)
    assert await store.credentials("ana@example.org") is None
    again = await register(mailed, "ana@example.org", count=2)
    await mailed.api.ok("POST", CONFIRM, confirmation(again))
    assert (await mailed.api.login("ana@example.org", "a phrase of a thief")).status == 401
    assert (await mailed.api.login("ana@example.org")).status == 200


async def test_what_is_mailed_has_nothing_that_was_typed(mailed: Mailed) -> None:
    await register(mailed, "ana@example.org", full_name="Win at https://evil.example")
    (mail,) = mailed.mailer.sent
    assert "evil" not in mail.subject + mail.text


async def test_who_has_an_account_is_told_by_mail_alone(mailed: Mailed) -> None:
    ana = await mailed_patient(mailed, "Ana@example.org")
    await mailed.ask(REGISTER, registration("aNA@EXAMPLE.org", password="a phrase of a thief"))
    assert (await mailed.mails(2))[1] == (ana, "You have an account")
    assert "token=" not in mailed.mailer.sent[1].text
    assert (await mailed.api.login(ana)).status == 200


async def mailed_patient(mailed: Mailed, email: str) -> str:
    token = await register(mailed, email)
    await mailed.api.ok("POST", CONFIRM, confirmation(token))
    return email


async def test_unknown_and_known_take_the_same_work(
    mailed: Mailed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mailed_patient(mailed, "ana@example.org")
    hashed = 0
    make = PasswordHasher.hash

    async def counted(self: PasswordHasher, password: str) -> str:
        nonlocal hashed
        hashed += 1
        return await make(self, password)

    monkeypatch.setattr(PasswordHasher, "hash", counted)
    async with watched() as work:
        headers = []
        for number, email in enumerate(("ana@example.org", "eve@example.org"), 1):
            response = await mailed.ask(REGISTER, registration(email))
            headers.append({*response.headers} - {"X-Request-Id"})
            assert hashed == number
            if number == 1:
                known = work.take()
        assert work.take() == known
    assert headers[0] == headers[1]
    assert [statement.split()[0] for statement in known].count("INSERT") == 3


async def test_what_is_wrong_with_it_is_told_at_once_and_alike(mailed: Mailed) -> None:
    email = await mailed_patient(mailed, "ana@example.org")
    for address in (email, "eve@example.org"):
        for code, fields in (
            ("weak_password", {"password": "password12345"}),
            ("validation_failed", {"birth_date": "1850-01-01"}),
        ):
            body = registration(address, **fields)
            await mailed.api.refused(422, code, "POST", REGISTER, body)
    await mailed.mails(1)


async def test_a_token_ends_after_a_day(
    mailed: Mailed, clock: FakeClock, store: MySQLStore
) -> None:
    token = await register(mailed, "ana@example.org")
    clock.advance(timedelta(hours=24))
    await mailed.api.refused(
        401, "invalid_registration_token", "POST", CONFIRM, confirmation(token)
    )
    token = await register(mailed, "ana@example.org", count=2)
    clock.advance(timedelta(hours=23, minutes=59))
    # The first registration, and what it was counted by; the second is still good.
    assert await store.forget(clock()) == 1 + 2 * 2
    await mailed.api.ok("POST", CONFIRM, confirmation(token))
    assert await store.forget(clock()) == 0


async def test_of_many_who_confirm_at_once_one_does(
    mailed: Mailed,
    settings: UsersSettings,
    clock: FakeClock,
    aiohttp_client: AiohttpClient,
) -> None:
    other = await start(settings, clock, aiohttp_client, FakeMailer())
    token = await register(mailed, "ana@example.org")
    answers = await asyncio.gather(
        *(one.api.call("POST", CONFIRM, confirmation(token)) for one in (mailed, other) * 3)
    )
    assert Counter(answer.status for answer in answers) == {201: 1, 401: 5}


async def test_an_address_taken_in_the_meantime_is_a_conflict(mailed: Mailed, api: Api) -> None:
    first = await register(mailed, "ana@example.org", password="the first long phrase")
    second = await register(mailed, "ANA@example.org", count=2)
    third = await register(mailed, "bob@example.org", count=3)
    await api.ok("POST", REGISTER, registration("bob@example.org"))  # registers at once
    await mailed.api.ok("POST", CONFIRM, confirmation(first, "the first long phrase"))
    for token in (second, third):
        await mailed.api.refused(409, "email_taken", "POST", CONFIRM, confirmation(token))
    assert (await api.login("ana@example.org", "the first long phrase")).status == 200
    assert (await api.login("ana@example.org")).status == 401


async def test_mails_are_limited(mailed: Mailed) -> None:
    for number in range(4):
        await mailed.ask(REGISTER, registration("ana@example.org"), address=f"192.0.2.{number}")
    await register(mailed, "bob@example.org", count=4)
    assert [to for to, _ in await mailed.mails(4)] == ["ana@example.org"] * 3 + ["bob@example.org"]


async def test_a_mailer_that_refuses_changes_no_answer(mailed: Mailed) -> None:
    mailed.mailer.error = MailRefusedError("no")
    await mailed.ask(REGISTER, registration("ana@example.org"))
    await mailed.tries(1)
    mailed.mailer.error = None
    await register(mailed, "ana@example.org")


@pytest.mark.parametrize("token", ["x", "é" * 43, "A" * 43, "a\nb"])
async def test_what_was_never_mailed_is_no_token(api: Api, token: str) -> None:
    await api.refused(401, "invalid_registration_token", "POST", CONFIRM, confirmation(token))


def test_confirming_takes_mail() -> None:
    with pytest.raises(ValidationError, match="USERS_MAIL=ses"):
        settings_for("sqlite+aiosqlite:///x", registration="verify")
    for wrong in ("us", "us@clinic.example\r\nBcc: eve@a.example"):
        with pytest.raises(ValidationError):
            settings_for("sqlite+aiosqlite:///x", mail_from=wrong)
