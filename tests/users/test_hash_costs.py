"""What a password hash costs: the same for nobody, and renewed if it is of another cost."""

import argon2
from pytest_aiohttp.plugin import AiohttpClient

from servicekit.testing import FakeClock
from tests.users.api import Api
from tests.users.conftest import settings_for
from users_service.app import create_app
from users_service.domain.users import email_key
from users_service.service.passwords import PasswordHasher
from users_service.store_mysql import MySQLStore


async def test_nobody_s_hash_costs_what_anybody_s_does() -> None:
    with PasswordHasher(time_cost=2, memory_kib=64, parallelism=2, workers=1) as hasher:
        somebody_s = argon2.extract_parameters(await hasher.hash("a phrase long enough"))
        assert argon2.extract_parameters(hasher._nobodys) == somebody_s
        assert not await hasher.verify(None, "a phrase long enough")


async def test_a_hash_of_another_cost_is_renewed_at_the_next_login(
    api: Api,
    store: MySQLStore,
    database_url: str,
    clock: FakeClock,
    aiohttp_client: AiohttpClient,
) -> None:
    ana = await api.patient()
    dearer = settings_for(database_url, argon2_time_cost=2)
    other = Api(await aiohttp_client(create_app(dearer, clock=clock)))
    await other.login(ana.email, "a wrong password")
    costs = []
    for _ in range(2):
        credentials = await store.credentials(email_key(ana.email))
        assert credentials is not None
        costs.append(argon2.extract_parameters(credentials.password_hash).time_cost)
        await other.sign_in(ana.email)
    assert costs == [1, 2]
