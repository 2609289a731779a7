"""What DynamoDB answers on a bad day, which no emulator does by itself."""

from collections.abc import Awaitable, Callable
from typing import Any

from botocore.exceptions import ClientError

WRITE = "transact_write_items"


def conflict(operation: str, actions: int) -> ClientError:
    """A transaction that met another one at its first item."""
    reasons = [{"Code": "TransactionConflict"}] + [{"Code": "None"}] * (actions - 1)
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "conflict"},
        "CancellationReasons": reasons,
    }
    return ClientError(response, operation)


def throttled(operation: str) -> ClientError:
    response: Any = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": ""}}
    return ClientError(response, operation)


class FaultyClient:
    """A DynamoDB client whose calls fail as `faults` says, before or after they took effect."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.faults: list[tuple[str, Exception | None, Exception | None]] = []
        self.calls: list[str] = []
        self.tokens: list[str] = []
        self.meta = client.meta

    def fail(
        self, operation: str, *, before: Exception | None = None, after: Exception | None = None
    ) -> None:
        self.faults.append((operation, before, after))

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        async def call(**arguments: Any) -> Any:
            self.calls.append(operation)
            if operation == "transact_write_items":
                self.tokens.append(arguments["ClientRequestToken"])
            before = after = None
            if self.faults and self.faults[0][0] == operation:
                _, before, after = self.faults.pop(0)
            if before is not None:
                raise before
            answer = await getattr(self._client, operation)(**arguments)
            if after is not None:
                raise after
            return answer

        return call
