"""One client an AWS service a process: opened with the app, closed with it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from servicekit.aws_session import new_session
from servicekit.calls import Calls, Result

# A condition of ours that didn't hold, or nothing there: an answer, and no failure.
_REFUSED = frozenset(
    {
        "ConditionalCheckFailed",
        "ConditionalCheckFailedException",
        "NoSuchKey",
        "NoSuchVersion",
        "MessageRejected",
        "404",
    }
)
_CONFLICTS = frozenset(
    {
        "ConditionalRequestConflict",
        "OperationAborted",
        "PreconditionFailed",  # of S3: every condition of ours is a compare-and-set
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
    }
)


def classify(error: BaseException) -> Result:
    """What an exception of a client means."""
    if not isinstance(error, ClientError):
        return "failed"
    reasons = error.response.get("CancellationReasons") or ()
    said = error.response.get("Error", {}).get("Code")  # a proxy may say none
    return classify_codes([said, *(one.get("Code") for one in reasons)])


def classify_codes(found: Iterable[str | None]) -> Result:
    """What error codes mean. Of a cancelled transaction's several, the weightiest counts."""
    codes = set(found)
    if codes & _REFUSED:
        return "refused"
    if codes & _CONFLICTS:
        return "conflict"
    return "throttled" if codes & _THROTTLED else "failed"


@asynccontextmanager
async def open_client(
    service: str,
    *,
    endpoint: str | None,
    region: str,
    calls: Calls | None = None,
    session: aioboto3.Session | None = None,
    connections: int = 100,
    connect_timeout: float = 2.0,
    read_timeout: float = 5.0,
    **config: Any,
) -> AsyncIterator[Any]:
    """A low-level client for `service` ("dynamodb", "s3", "ses").

    Retries are left to the caller (one attempt), who knows which calls may be sent again and by
    when the answer is due. Parameters are not validated against the service model: the stores
    build them from checked values, and validation costs a tenth of a call. The user agent is fixed,
    since botocore else composes it anew for every call.

    Args:
        endpoint: of an emulator; None for AWS itself.
        calls: how its calls are counted; None for a client that a command uses once.
        session: whose service model is used. A session loads it anew (12 MiB for S3), so two
            clients of one service share one; None for a session of its own.
        config: more options of botocore's Config, such as `signature_version`.
    """
    settings = AioConfig(
        max_pool_connections=connections,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"total_max_attempts": 1, "mode": "standard"},
        parameter_validation=False,
        user_agent="appointments-platform",
        **config,
    )
    async with (session or new_session()).client(
        service, region_name=region, endpoint_url=endpoint, config=settings
    ) as client:
        yield client if calls is None else ObservedClient(client, calls)


Method = Callable[..., Awaitable[Any]]


class ObservedClient:
    """A client of AWS whose operations are counted; all else of it is as it was.

    Args:
        client: a low-level client of aioboto3, open.
    """

    def __init__(self, client: Any, calls: Calls) -> None:
        self._client = client
        self._calls = calls
        self._operations: Final[Mapping[str, str]] = client.meta.method_to_api_mapping

    def __getattr__(self, name: str) -> Any:
        """An operation is found here once, and then among the object's own attributes."""
        attribute = getattr(self._client, name)
        operation = self._operations.get(name)
        if operation is not None:
            attribute = self._observed(operation, attribute)
        self.__dict__[name] = attribute
        return attribute

    def _observed(self, operation: str, method: Method) -> Method:
        calls = self._calls

        async def observed(**arguments: Any) -> Any:
            with calls.call(operation):
                return await method(**arguments)

        return observed
