"""Who accepts, books, cancels and lapses at once: one winner, whatever fails meanwhile."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.faults import WRITE, FaultyClient, throttled
from tests.appointments.test_waitlist import (
    NINE,
    accept,
    cancel,
    full,
    joined,
    leave,
    refused,
    statuses,
    waits,
)
from tests.tools.audits import audited


class Unlucky(FaultyClient):
    """A client that meets conflicts, throttling and lost answers, as a seed says."""

    def __init__(self, client: Any, chance: random.Random) -> None:
        super().__init__(client)
        self._chance = chance
        self.lucky = True

    async def transact_write_items(self, **arguments: Any) -> Any:
        dice = 1.0 if self.lucky else self._chance.random()
        await asyncio.sleep(0)
        if dice < 0.1:
            raise throttled(WRITE)
        if dice < 0.2:
            raise ConnectionError
        answer = await self._client.transact_write_items(**arguments)
        if dice < 0.3:
            raise ConnectionError
        return answer


class Died(BaseException):
    """A process ends: nothing of it runs any more, and nobody handles that."""


async def killed(suite: Suite, faulty: FaultyClient, *, after: bool) -> None:
    """A look at all doctors by a process that ends at its first write."""
    died = Died()
    faulty.faults.append((WRITE, None, died) if after else (WRITE, died, None))  # type: ignore[arg-type]
    with pytest.raises(Died):
        await suite.fill()


@pytest.fixture
def chance(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.mark.parametrize("seed", range(12))
async def test_one_wins_a_freed_time(
    make_suite: MakeSuite, dynamodb: Any, chance: random.Random
) -> None:
    """Two instances at work, everybody wants the one time, and the store is out of sorts."""
    unlucky = Unlucky(dynamodb, chance)
    one: Suite = await make_suite(unlucky)
    two: Suite = await make_suite(unlucky)
    taken = await full(one)
    entries = {}
    for name in ("ana", "bob", "cem"):
        one.advance(seconds=1)
        entries[name] = await joined(one, name)
    await two.fill()
    await cancel(two, taken)
    if chance.random() < 0.5:
        await one.fill()
    unlucky.lucky = False

    async def lapse() -> None:
        one.advance(minutes=61)
        await two.fill()

    def key() -> dict[str, str]:
        return {"Idempotency-Key": "k"} if chance.random() < 0.5 else {}

    deeds: list[Callable[[], Awaitable[Any]]] = [
        one.fill,
        two.fill,
        lapse,
        lambda: accept(one, entries["ana"], "ana", **key()),
        lambda: accept(two, entries["ana"], "ana", **key()),
        lambda: accept(two, entries["bob"], "bob"),
        lambda: leave(one, entries["ana"], "ana"),
        lambda: leave(two, entries["bob"], "bob"),
        lambda: one.book(NINE, patient="passer-by"),
        lambda: two.book(NINE, patient="another", headers=key()),
    ]
    chance.shuffle(deeds)

    async def later(deed: Callable[[], Awaitable[Any]], turns: int) -> Any:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await deed()

    await asyncio.gather(*(later(deed, chance.randrange(40)) for deed in deeds))
    unlucky.lucky = True
    assert (await audited(one)).breaches == []
    await two.fill()
    assert (await audited(one)).breaches == []
    holders = [name for name in entries if (await statuses(one, name)) in (["offered"], ["booked"])]
    answer = await one.client.get("/v1/appointments?doctor_id=doc", headers=one.admin())
    booked = [
        each["patient_id"] for each in (await answer.json())["items"] if each["status"] == "booked"
    ]
    # Whoever holds an offer has no appointment yet; together they are the one who has the time.
    assert len({*holders, *booked}) == 1, (holders, booked)


@pytest.mark.parametrize("after", [False, True])
async def test_a_process_that_ends_while_it_offers(
    make_suite: MakeSuite, faulty: FaultyClient, after: bool
) -> None:
    one: Suite = await make_suite(faulty)
    two: Suite = await make_suite()
    taken = await full(two)
    entry = await joined(two)
    await two.fill()
    await cancel(one, taken)  # which doesn't know that anybody waits, and so tells nobody
    await killed(one, faulty, after=after)
    await two.fill()
    assert await statuses(two, "pat") == ["offered"]
    assert (await audited(two)).breaches == []
    assert (await accept(two, entry)).status == 201


@pytest.mark.parametrize("after", [False, True])
async def test_a_process_that_ends_while_it_lapses(
    make_suite: MakeSuite, faulty: FaultyClient, after: bool
) -> None:
    one: Suite = await make_suite(faulty)
    two: Suite = await make_suite()
    taken = await full(two)
    await joined(two)
    two.advance(seconds=1)
    await joined(two, "later")
    await two.fill()
    await cancel(one, taken)
    await two.fill()
    two.advance(minutes=61)
    await killed(one, faulty, after=after)
    await two.fill()
    assert await statuses(two, "pat", "later") == ["expired", "offered"]
    assert (await audited(two)).breaches == []


async def test_many_instances_offer_each_time_once(make_suite: MakeSuite) -> None:
    suites: list[Suite] = [await make_suite() for _ in range(3)]
    await suites[0].set_hours()
    names = [f"p{n}" for n in range(9)]
    await asyncio.gather(*(joined(suites[0], name) for name in names))
    await asyncio.gather(*(suite.fill() for suite in suites))
    offers = [entry["offer"] for name in names for entry in await waits(suites[0], name)]
    starts = [offer["starts_at"] for offer in offers if offer is not None]
    assert len(starts) == len(set(starts)) == 6
    assert (await audited(suites[0])).breaches == []


async def test_two_who_accept_with_one_key_get_one_answer(suite: Suite) -> None:
    taken = await full(suite)
    entry = await joined(suite)
    await cancel(suite, taken)
    await suite.fill()
    key = {"Idempotency-Key": "k"}
    answers = await asyncio.gather(*(accept(suite, entry, **key) for _ in range(5)))
    assert {answer.status for answer in answers} == {201}
    assert len({await answer.read() for answer in answers}) == 1


async def test_two_who_accept_without_a_key_make_one_appointment(suite: Suite) -> None:
    taken = await full(suite)
    entry = await joined(suite)
    await cancel(suite, taken)
    await suite.fill()
    answers = await asyncio.gather(*(accept(suite, entry) for _ in range(5)))
    lost = sorted(answers, key=lambda answer: answer.status)[1:]
    for answer in lost:
        await refused(answer, 409, "offer_expired")
    assert (await audited(suite)).breaches == []


class Meanwhile(FaultyClient):
    """A client before whose next write something else happens."""

    deed: Callable[[], Awaitable[Any]] | None = None

    async def transact_write_items(self, **arguments: Any) -> Any:
        deed, self.deed = self.deed, None
        if deed is not None:
            await deed()
        return await self._client.transact_write_items(**arguments)


async def test_hours_that_change_before_an_offer_is_written_govern_it(
    make_suite: MakeSuite, dynamodb: Any
) -> None:
    meanwhile = Meanwhile(dynamodb)
    one: Suite = await make_suite(meanwhile)
    two: Suite = await make_suite()
    taken = await full(two)
    await joined(two)
    await two.fill()
    await cancel(one, taken)

    async def close() -> None:
        path = "/v1/schedules/doc/overrides/2026-03-03"
        answer = await one.client.put(path, json={"closed": True}, headers=one.doctor())
        assert answer.status == 200

    meanwhile.deed = close
    await one.fill()
    assert meanwhile.deed is None
    assert await statuses(two, "pat") == ["waiting"]
    assert (await audited(two)).breaches == []
