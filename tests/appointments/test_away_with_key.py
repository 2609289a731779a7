"""A store that is away is not asked twice as long because the caller had a key."""

from typing import Any

from botocore.exceptions import EndpointConnectionError

from tests.appointments.conftest import MakeSuite
from tests.appointments.faults import WRITE, FaultyClient


async def test_a_store_that_is_away_is_not_asked_for_the_keys_answer(
    make_suite: MakeSuite, dynamodb: Any
) -> None:
    faulty = FaultyClient(dynamodb)
    suite = await make_suite(faulty)
    await suite.set_hours()
    for _ in range(40):  # more than are tried
        faulty.fail(WRITE, before=EndpointConnectionError(endpoint_url="http://127.0.0.1"))
    faulty.calls.clear()
    key = {"Idempotency-Key": "k"}
    answer = await suite.book(headers=key)
    assert (answer.status, (await answer.json())["code"]) == (503, "store_unavailable")
    assert faulty.calls[-1] == WRITE
    faulty.faults.clear()
    assert (await suite.book(headers=key)).status == 201
