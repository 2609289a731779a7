"""The owner is told by mail of what becomes of the second factor."""

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from servicekit.testing import FakeClock, FakeMailer
from tests.users.api import PASSWORD, Api
from tests.users.mailed import Mailed, start
from tests.users.test_second_factors import FACTOR, begun, set_up
from users_service.settings import UsersSettings

SET_UP = "A second factor was set up"
REMOVED = "Your second factor was removed"
MADE = "New recovery codes were made"


@pytest.fixture
async def mailed(
    settings: UsersSettings, clock: FakeClock, aiohttp_client: AiohttpClient, api: Api
) -> Mailed:
    """An instance beside `api`'s, over its database."""
    return await start(settings, clock, aiohttp_client, FakeMailer())


async def test_what_its_owner_does(mailed: Mailed, clock: FakeClock) -> None:
    api = mailed.api
    ana = await api.patient()
    device, codes = await set_up(api, ana, clock)
    assert await mailed.mails(1) == [(ana.email, SET_UP)]
    assert await api.measured('mails_total{result="sent"}') == 1
    body = {"code": device.next()}
    made = await api.ok("POST", f"{FACTOR}/recovery-codes", body, by=ana)
    assert (await mailed.mails(2))[1] == (ana.email, MADE)
    body = {"password": PASSWORD, "code": device.next()}
    await api.ok("POST", f"{FACTOR}/remove", body, by=ana)
    assert (await mailed.mails(3))[2] == (ana.email, REMOVED)
    texts = "".join(mail.text for mail in mailed.mailer.sent)
    assert not [code for code in (*codes, *made["recovery_codes"]) if code in texts]


async def test_what_an_admin_does_and_once(mailed: Mailed, clock: FakeClock) -> None:
    api = mailed.api
    admin, ana = await api.admin(), await api.patient()
    await set_up(api, ana, clock)
    for _ in range(2):
        await api.ok("DELETE", f"/v1/users/{ana.id}/second-factor", by=admin)
    assert await mailed.mails(2) == [(ana.email, SET_UP), (ana.email, REMOVED)]


async def test_of_what_was_never_confirmed_nobody_is_told(mailed: Mailed, clock: FakeClock) -> None:
    api = mailed.api
    admin, ana = await api.admin(), await api.patient()
    await begun(api, ana, clock)
    await api.ok("DELETE", f"/v1/users/{ana.id}/second-factor", by=admin)
    await set_up(api, ana, clock)
    # Mails go out in order: had there been one before, it would be here.
    assert await mailed.mails(1) == [(ana.email, SET_UP)]
