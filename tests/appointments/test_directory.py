"""Shared questions: never an answer to a question that was asked before the caller came."""

import asyncio

import pytest

from appointments_service.directory_users import SharedQuestions


class Oracle:
    """Answers with the number of the question, when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.gates: list[asyncio.Event] = []
        self._another = asyncio.Condition()

    async def ask(self, _key: str) -> int:
        self.asked += 1
        number = self.asked
        gate = asyncio.Event()
        self.gates.append(gate)
        async with self._another:
            self._another.notify_all()
        await gate.wait()
        return number

    async def reached(self, count: int) -> None:
        async with self._another:
            await self._another.wait_for(lambda: self.asked >= count)


async def test_those_who_come_meanwhile_share_the_next_question() -> None:
    oracle = Oracle()
    shared = SharedQuestions(oracle.ask)
    first = asyncio.create_task(shared.answer("doc"))
    await oracle.reached(1)
    rest = [asyncio.create_task(shared.answer("doc")) for _ in range(50)]
    other = asyncio.create_task(shared.answer("another"))
    await oracle.reached(2)
    oracle.gates[1].set()
    assert await other == 2
    oracle.gates[0].set()
    assert await first == 1
    await oracle.reached(3)
    oracle.gates[2].set()
    assert set(await asyncio.gather(*rest)) == {3}
    assert oracle.asked == 3


async def test_one_caller_that_goes_away_leaves_the_others_their_answer() -> None:
    oracle = Oracle()
    shared = SharedQuestions(oracle.ask)
    first = asyncio.create_task(shared.answer("doc"))
    await oracle.reached(1)
    gone = asyncio.create_task(shared.answer("doc"))
    stays = asyncio.create_task(shared.answer("doc"))
    await asyncio.sleep(0)
    gone.cancel()
    first.cancel()
    await oracle.reached(2)
    oracle.gates[1].set()
    assert await stays == 2
    assert gone.cancelled() or await asyncio.wait([gone])


async def test_a_failure_is_every_sharers_failure_and_nobody_elses() -> None:
    calls = 0

    async def ask(_key: str) -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls < 3:
            raise RuntimeError("away")
        return calls

    shared = SharedQuestions(ask)
    outcomes = await asyncio.gather(
        *(shared.answer("doc") for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(outcome, RuntimeError) for outcome in outcomes)
    assert await shared.answer("doc") == 3
    with pytest.raises(KeyError):
        shared._asked["doc"]
