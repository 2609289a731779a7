"""Calls to DynamoDB that are sent again while that is safe and the deadline allows it."""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from appointments_service.errors import StoreUnavailableError
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.items import Item
from servicekit.aws import classify
from servicekit.calls import Result

T = TypeVar("T")

BATCH_KEYS = 100
REFUSED = "ConditionalCheckFailed"
TRANSIENT = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
DEADLINE_SECONDS = 8.0
FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5

# The service says so itself: come again, nothing was done, or the same request may be repeated.
_PASSING = frozenset(
    {
        "InternalServerError",
        "InternalFailure",
        "ServiceUnavailable",
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "TransactionInProgressException",
        "LimitExceededException",
    }
)
# The table isn't there, or not yet: nothing that a caller of ours has done wrong.
_AWAY = frozenset({"ResourceNotFoundException", "UnrecognizedClientException"})


class Patience:
    """How long to go on trying, with full jitter between the attempts.

    Args:
        retried: told of each attempt after the first, and of what became of the one before it.

    Attributes:
        in_doubt: whether an attempt ended without an answer, and so may have taken effect, or may
            yet do so.
    """

    def __init__(
        self,
        seconds: float = DEADLINE_SECONDS,
        *,
        retried: Callable[[Result], None] = lambda _: None,
    ) -> None:
        self.in_doubt = False
        self._retried = retried
        self._until = time.monotonic() + seconds
        self._pause = FIRST_PAUSE

    async def pause(self, result: Result, reason: Exception) -> None:
        """Waits before another attempt. Raises StoreUnavailableError once there's no time left."""
        pause = random.uniform(0, self._pause)
        if time.monotonic() + pause >= self._until:
            raise StoreUnavailableError("the store did not answer in time") from reason
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._retried(result)
        await asyncio.sleep(pause)


def is_passing(error: ClientError) -> bool:
    """Whether the same request may simply be sent again."""
    return error.response["Error"]["Code"] in _PASSING or _status(error) >= 500


def _status(error: ClientError) -> int:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status


async def persist(call: Callable[[], Awaitable[T]], patience: Patience, *, attempts: int = 3) -> T:
    """A call that may be repeated (a read, or a write with a client request token).

    Raises:
        StoreUnavailableError: the store is away or stays busy.
        ClientError: any other refusal, for the caller to judge.
    """
    for attempt in range(attempts):
        try:
            return await call()
        except ClientError as error:
            if error.response["Error"]["Code"] in _AWAY:
                raise StoreUnavailableError("the store is not ready") from error
            if not is_passing(error):
                raise
            patience.in_doubt |= _status(error) >= 500
            reason: Exception = error
        except (BotoCoreError, OSError, TimeoutError) as error:
            patience.in_doubt = True
            reason = error
        if attempt + 1 < attempts:
            await patience.pause(classify(reason), reason)
    raise StoreUnavailableError("the store is away") from reason


class OnTable:
    """What all parts of the store have in common: calls about one table.

    Args:
        client: a low-level aioboto3 DynamoDB client, open.
        table: the table's name.
        retried: told of each call that is made again, and why.
    """

    def __init__(
        self, client: Any, table: str, retried: Callable[[Result], None] = lambda _: None
    ) -> None:
        self._client = client
        self._table = table
        self._retried = retried

    async def _call(self, operation: str, **arguments: Any) -> Any:
        """One call that may be repeated. Raises as `persist`."""
        method = getattr(self._client, operation)
        return await persist(
            lambda: method(TableName=self._table, **arguments), Patience(retried=self._retried)
        )

    async def _get(self, partition: str, sort: str) -> Item | None:
        answer = await self._call("get_item", Key=items.key(partition, sort), ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    async def _get_many(self, keys: list[Item]) -> list[Item]:
        batches = [keys[n : n + BATCH_KEYS] for n in range(0, len(keys), BATCH_KEYS)]
        if len(batches) == 1:
            return await self._get_batch(batches[0])
        return [
            item for batch in await asyncio.gather(*map(self._get_batch, batches)) for item in batch
        ]

    async def _get_batch(self, keys: list[Item]) -> list[Item]:
        patience = Patience(retried=self._retried)
        wanted: Item = {self._table: {"Keys": keys, "ConsistentRead": True}}
        found: list[Item] = []
        while True:
            ask = partial(self._client.batch_get_item, RequestItems=wanted)
            answer = await persist(ask, patience)
            found += answer["Responses"].get(self._table, [])
            wanted = answer.get("UnprocessedKeys", {})
            if not wanted:
                return found
            await patience.pause("throttled", RuntimeError("keys left unprocessed"))

    async def _query_all(self, **query: Any) -> list[Item]:
        found: list[Item] = []
        page: dict[str, Any] = {}
        while True:
            answer = await self._call("query", ConsistentRead=True, **query, **page)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return found
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def _transact(self, actions: list[Item], patience: Patience) -> list[str] | None:
        """One transaction, sent again with the same token while its answer is lost.

        Returns:
            None if it took effect, else the cancellation code of each action. The token is one
            random UUID an attempt: derived from the request, it would answer success to book,
            cancel, book again within ten minutes without writing anything.
        """
        token = str(uuid.uuid4())
        try:
            await persist(
                lambda: self._client.transact_write_items(
                    TransactItems=actions, ClientRequestToken=token
                ),
                patience,
                attempts=4,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            return cancellation_codes(error)
        return None


def cancellation_codes(error: ClientError) -> list[str]:
    """The reason of each action of a cancelled transaction, "None" where it had none."""
    reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])
    return [reason.get("Code", "None") for reason in reasons]


def unexpected(codes: list[str]) -> Exception:
    """What a transaction was cancelled for that nobody reckoned with."""
    return RuntimeError(f"transaction cancelled: {codes}")
