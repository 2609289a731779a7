"""What DynamoDB answers on a bad day, as a test says it."""

from collections.abc import Awaitable, Callable
from typing import Any

from tools.stress.faults import WRITE, conflict, throttled

__all__ = ["WRITE", "FaultyClient", "conflict", "throttled"]


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
            if operation == WRITE:
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
