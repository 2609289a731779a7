"""What DynamoDB does on a bad day, which no emulator does by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

WRITE = "transact_write_items"
BATCH = "batch_get_item"

Call = Callable[[], Awaitable[Any]]

_AWAY = "http://127.0.0.1"


def conflict(operation: str, actions: int, at: int = 0) -> ClientError:
    """A transaction that met another one at one of its items, by default the first."""
    reasons = [{"Code": "None"} for _ in range(actions)]
    reasons[at] = {"Code": "TransactionConflict"}
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "conflict"},
        "CancellationReasons": reasons,
    }
    return ClientError(response, operation)


def throttled(operation: str) -> ClientError:
    """More calls than the table was given capacity for."""
    response: Any = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": ""}}
    return ClientError(response, operation)


def failed(operation: str) -> ClientError:
    """An answer 500, which leaves open whether the call took effect."""
    response: Any = {
        "Error": {"Code": "InternalServerError", "Message": ""},
        "ResponseMetadata": {"HTTPStatusCode": 500},
    }
    return ClientError(response, operation)


class StormyClient:
    """A DynamoDB client whose calls fail at random: seldom as a rule, mostly in a storm.

    Calls may fail before they took effect, after it, or take effect only after they seem to have
    failed. What fails is drawn from `random`, so a seed gives the same faults to the same calls.

    Args:
        rate: of the calls outside of storms, how many of 1 fail.

    Attributes:
        counts: how often each fault was injected.
    """

    def __init__(self, client: Any, random: Random, rate: float = 0.07) -> None:
        self._client = client
        self._random = random
        self._rate = rate
        self._storm = 0
        self._late: set[asyncio.Task[Any]] = set()
        self.counts: Counter[str] = Counter()
        self.meta = client.meta

    async def settle(self) -> None:
        """Return once every late effect has happened or failed."""
        while self._late:
            await asyncio.wait(self._late)

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._client, operation)

        async def call(**arguments: Any) -> Any:
            if not self._fails():
                return await method(**arguments)
            fault = self._random.choice(_FAULTS.get(operation, _READS))
            self.counts[fault] += 1
            return await self._fail(fault, operation, arguments, lambda: method(**arguments))

        return call

    def _fails(self) -> bool:
        if self._storm:
            self._storm -= 1
            return self._random.random() < 0.7
        if self._random.random() < 0.001:
            self._storm = self._random.randrange(10, 60)
        return self._random.random() < self._rate

    async def _fail(self, fault: str, operation: str, arguments: dict[str, Any], call: Call) -> Any:
        match fault:
            case "conflict":
                actions = len(arguments["TransactItems"])
                raise conflict(operation, actions, self._random.randrange(actions))
            case "throttled":
                raise throttled(operation)
            case "away":
                raise EndpointConnectionError(endpoint_url=_AWAY)
            case "timed out before":
                raise ReadTimeoutError(endpoint_url=_AWAY)
            case "timed out after":
                await call()
                raise ReadTimeoutError(endpoint_url=_AWAY)
            case "500 before":
                raise failed(operation)
            case "500 after":
                await call()
                raise failed(operation)
            case "late effect":
                self._let_happen(call, self._random.uniform(0, 0.1))
                raise ReadTimeoutError(endpoint_url=_AWAY)
            case "unprocessed":
                return await self._leave_some(arguments)
            case _:
                await asyncio.sleep(self._random.uniform(0, 0.03))
                return await call()

    def _let_happen(self, call: Call, seconds: float) -> None:
        async def happen() -> None:
            await asyncio.sleep(seconds)
            await asyncio.gather(call(), return_exceptions=True)  # nobody waits for its answer

        task = asyncio.create_task(happen())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _leave_some(self, arguments: dict[str, Any]) -> Any:
        """A batch of which a part comes back unprocessed, as a busy table gives it."""
        [(table, request)] = arguments["RequestItems"].items()
        cut = self._random.randrange(len(request["Keys"]) + 1)
        done, left = request["Keys"][:cut], request["Keys"][cut:]
        answer: Any = {"Responses": {table: []}}
        if done:
            batch = {table: {**request, "Keys": done}}
            answer = await self._client.batch_get_item(RequestItems=batch)
        if left:
            answer["UnprocessedKeys"] = {table: {**request, "Keys": left}}
        return answer


_READS = ("throttled", "away", "timed out before", "500 before", "slow")
_FAULTS = {
    BATCH: (*_READS, "unprocessed"),
    WRITE: (
        "conflict",
        "conflict",
        "conflict",
        "throttled",
        "away",
        "timed out before",
        "timed out after",
        "timed out after",
        "500 before",
        "500 after",
        "late effect",
        "slow",
    ),
}
