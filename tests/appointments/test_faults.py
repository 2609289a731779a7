"""What DynamoDB does on a bad day, which no emulator does by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from appointments_service.app import open_dynamodb
from appointments_service.settings import Settings
from appointments_service.store_dynamodb import DynamoDBStore
from appointments_service.store_dynamodb.calls import DEADLINE_SECONDS, LONGEST_PAUSE
from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.faults import WRITE, FaultyClient, conflict, throttled


async def test_a_conflict_is_tried_again_with_another_token(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    faulty.tokens.clear()
    for _ in range(3):
        faulty.fail(WRITE, before=conflict(WRITE, 5))
    await suite.booked()
    assert len(faulty.tokens) == len(set(faulty.tokens)) == 4


async def test_a_loser_is_turned_away_by_a_read_after_a_conflict(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    await suite.booked(patient="other")
    faulty.fail(WRITE, before=conflict(WRITE, 5))
    faulty.calls.clear()
    answer = await suite.book()
    assert (answer.status, (await answer.json())["code"]) == (409, "slot_taken")
    # The days, and then whether what they were asked for still holds.
    assert faulty.calls == [WRITE, "batch_get_item", "batch_get_item"]


@pytest.mark.parametrize("after", [True, False])
async def test_a_lost_answer_is_asked_for_again_with_the_same_token(
    make_suite: MakeSuite, faulty: FaultyClient, after: bool
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    faulty.tokens.clear()
    lost = ReadTimeoutError(endpoint_url="http://127.0.0.1")
    faulty.fail(WRITE, **{"after" if after else "before": lost})
    made = await suite.booked()
    assert len(faulty.tokens) == 2
    assert len(set(faulty.tokens)) == 1
    read = await suite.client.get(f"/v1/appointments/{made['id']}", headers=suite.patient())
    assert await read.json() == made


async def test_there_is_time_to_ask_again_for_an_answer_that_never_came(ministack: str) -> None:
    async with open_dynamodb(Settings(dynamodb_endpoint=ministack)) as store:
        assert isinstance(store, DynamoDBStore)
        waits = store._client.meta.config
    assert 2 * (waits.read_timeout + LONGEST_PAUSE) < DEADLINE_SECONDS
    assert 2 * (waits.connect_timeout + LONGEST_PAUSE) < DEADLINE_SECONDS


REFUSED, CONFLICT, FINE = "ConditionalCheckFailed", "TransactionConflict", "None"


def cancelled(*codes: str) -> ClientError:
    """A transaction cancelled for these reasons, one for each action."""
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": ""},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return ClientError(response, WRITE)


async def hours_without_buffers_elsewhere(make_suite: MakeSuite, client: FaultyClient) -> Suite:
    """An instance that still knows hours with buffers, which another one has done without."""
    behind, ahead = await make_suite(client), await make_suite()
    await behind.set_hours(buffer_before_minutes=60, buffer_after_minutes=60)
    await behind.booked("2026-03-04T09:00:00Z", patient="pat")
    await ahead.set_hours()
    await ahead.booked("2026-03-04T11:00:00Z", patient="other")
    client.calls.clear()
    suite: Suite = behind
    return suite


async def test_no_loser_is_turned_away_by_hours_that_are_over(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await hours_without_buffers_elsewhere(make_suite, faulty)
    faulty.fail(WRITE, before=conflict(WRITE, 5))
    answer = await suite.book("2026-03-04T10:30:00Z", patient="third")
    assert answer.status == 201, await answer.text()


async def test_what_met_a_conflict_may_hide_a_refusal_that_weighs_more(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    # The doctor's day, the patient's, the appointment, the tally and the schedule.
    faulty.fail(WRITE, before=cancelled(REFUSED, FINE, FINE, FINE, CONFLICT))
    await suite.booked()
    faulty.fail(WRITE, before=cancelled(REFUSED, CONFLICT, FINE, CONFLICT, FINE))
    answer = await suite.book(patient="other")
    assert (answer.status, (await answer.json())["code"]) == (409, "slot_taken")


async def test_a_move_within_a_day_is_not_refused_for_hours_that_are_over(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await hours_without_buffers_elsewhere(make_suite, faulty)
    listed = await suite.client.get("/v1/appointments", headers=suite.patient("pat"))
    [made] = (await listed.json())["items"]
    answer = await suite.client.post(
        f"/v1/appointments/{made['id']}/reschedule",
        json={"starts_at": "2026-03-04T10:30:00Z"},
        headers=suite.patient("pat"),
    )
    assert answer.status == 200, await answer.text()


async def test_an_effect_that_comes_late_is_recognized_as_the_writes_own(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()

    def lose_an_answer_and_meet_a_conflict(*codes: str) -> None:
        faulty.fail(WRITE, after=ReadTimeoutError(endpoint_url="http://127.0.0.1"))
        faulty.fail(WRITE, before=cancelled(*codes))

    lose_an_answer_and_meet_a_conflict(CONFLICT, FINE, FINE, FINE, FINE)
    made = await suite.booked()
    lose_an_answer_and_meet_a_conflict(CONFLICT, FINE, FINE, FINE, FINE)
    path = f"/v1/appointments/{made['id']}"
    moved = await suite.client.post(
        f"{path}/reschedule", json={"starts_at": "2026-03-03T09:30:00Z"}, headers=suite.patient()
    )
    assert moved.status == 200, await moved.text()
    lose_an_answer_and_meet_a_conflict(CONFLICT, FINE, FINE, FINE)
    ended = await suite.client.post(f"{path}/cancel", headers=suite.patient())
    assert ended.status == 200, await ended.text()
    assert (await ended.json())["version"] == 3


async def test_of_equal_moves_in_doubt_with_one_key_one_is_the_first(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    made = await suite.booked()
    for _ in range(2):  # nobody knows whether either of the first two attempts took effect
        faulty.fail(WRITE, before=ReadTimeoutError(endpoint_url="http://127.0.0.1"))
    moves = [
        suite.client.post(
            f"/v1/appointments/{made['id']}/reschedule",
            json={"starts_at": "2026-03-03T10:00:00Z"},
            headers={**suite.patient(), "Idempotency-Key": "one"},
        )
        for _ in range(2)
    ]
    answers = await asyncio.gather(*moves)
    assert [answer.status for answer in answers] == [200, 200]
    replayed = ["Idempotency-Replayed" in answer.headers for answer in answers]
    assert sorted(replayed) == [False, True]


async def test_throttling_is_waited_out(make_suite: MakeSuite, faulty: FaultyClient) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    for _ in range(2):
        faulty.fail("batch_get_item", before=throttled("BatchGetItem"))
    assert await suite.slots("2026-03-03", "2026-03-03")
    faulty.fail(WRITE, before=throttled(WRITE))
    await suite.booked()


async def test_a_store_that_is_away_is_an_honest_503_and_comes_back(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    away = EndpointConnectionError(endpoint_url="http://127.0.0.1")
    for _ in range(4):
        faulty.fail(WRITE, before=away)
    answer = await suite.book()
    assert (answer.status, (await answer.json())["code"]) == (503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    await suite.booked()


async def test_what_was_refused_left_nothing_behind(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    await suite.booked(patient="other")
    before = await faulty.scan(TableName=suite.table, ConsistentRead=True)
    answer = await suite.book(headers={"Idempotency-Key": "k"})
    assert answer.status == 409
    after = await faulty.scan(TableName=suite.table, ConsistentRead=True)
    assert after["Items"] == before["Items"]


async def test_how_many_calls_it_takes(make_suite: MakeSuite, faulty: FaultyClient) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    faulty.calls.clear()
    await suite.slots("2026-03-03", "2026-04-02")
    assert faulty.calls == ["batch_get_item", "query"]  # the first time: overrides, too
    faulty.calls.clear()
    await suite.booked()
    assert faulty.calls == [WRITE]
    for hour in ("09:30", "10:00", "10:30", "11:00", "11:30"):
        await suite.booked(f"2026-03-03T{hour}:00Z")
    faulty.calls.clear()
    await suite.slots("2026-03-03", "2026-04-02")
    assert faulty.calls == ["batch_get_item"]
    faulty.calls.clear()
    await suite.slots("2026-03-03", "2026-04-02", **suite.patient())
    assert len(faulty.calls) == 1
    faulty.calls.clear()
    await suite.slots("2026-03-03", "2026-05-03", **suite.patient())
    assert len(faulty.calls) == 2


class MeddledClient(FaultyClient):
    """A client whose next failing write is preceded by what others do meanwhile.

    Attributes:
        meddle: what they do, just before the last fault that is planned.
    """

    meddle: Callable[[], Awaitable[None]]

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        call = super().__getattr__(operation)

        async def meddled(**arguments: Any) -> Any:
            if operation == WRITE and len(self.faults) == 1:
                await self.meddle()
            return await call(**arguments)

        return meddled


async def test_an_effect_that_others_have_built_upon_is_still_the_writes_own(
    make_suite: MakeSuite, dynamodb: Any
) -> None:
    client = MeddledClient(dynamodb)
    suite, other = await make_suite(client), await make_suite()
    await suite.set_hours()

    async def check_in() -> None:
        listed = await other.client.get("/v1/appointments", headers=suite.doctor())
        [made] = (await listed.json())["items"]
        path = f"/v1/appointments/{made['id']}/check-in"
        assert (await other.client.post(path, headers=suite.doctor())).status == 200

    client.meddle = check_in
    client.fail(WRITE, after=ReadTimeoutError(endpoint_url="http://127.0.0.1"))
    client.fail(WRITE, before=cancelled(CONFLICT, FINE, FINE, FINE, FINE))
    made = await suite.booked()
    assert (made["status"], made["version"]) == ("booked", 1)
