"""Guessing passwords through the gateway: counted by the address that it saw itself."""

import sys
from collections.abc import AsyncIterator

import pytest

from tests.e2e.client import Client, open_client
from tests.e2e.clinic import Clinic
from tests.e2e.running import RunningSuite

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere 127.0.0.0/8 is one address"
)


@pytest.fixture
async def attacker(suite: RunningSuite) -> AsyncIterator[Client]:
    async with open_client(suite.gateway, "127.30.0.1") as client:
        yield client


async def test_ten_failures_are_enough_whatever_address_is_pretended(
    attacker: Client, clinic: Clinic
) -> None:
    patient = await clinic.patient()
    for email in (patient.email, "nobody@example.org"):
        for guess in range(12):
            body = {"email": email, "password": f"guess number {guess}"}
            headers = [("X-Forwarded-For", f"203.0.113.{guess}")]
            answer = await attacker.call("POST", "/v1/auth/login", body, headers=headers)
            expected = (401, "bad_credentials") if guess < 10 else (429, "too_many_attempts")
            assert (answer.status, answer.code) == expected, (guess, answer)
            if guess >= 10:
                assert 1 <= int(answer.headers["Retry-After"]) <= 900
    # Its true owner, who is elsewhere, is not locked out.
    await clinic.login(patient.email)
