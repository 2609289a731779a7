"""Calls to stores and peers: what is counted of them, and what is traced."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from prometheus_client import CollectorRegistry

from servicekit.aws import ObservedClient, classify
from servicekit.calls import CallMetrics, Calls
from tests.servicekit.spans import KeptTracing


class Client:
    """Stands for a client of aioboto3: two operations, and what is none."""

    meta = SimpleNamespace(method_to_api_mapping={"get_item": "GetItem", "put_item": "PutItem"})

    def __init__(self) -> None:
        self.answers: list[Any] = []

    async def get_item(self, **arguments: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return {"asked": arguments, "answer": answer}

    async def put_item(self) -> None:
        await asyncio.Event().wait()

    async def generate_presigned_url(self) -> str:
        return "url"


class Watched:
    """A client whose calls are counted, and the counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tracing = KeptTracing()
        self.calls = Calls(
            CallMetrics(self.registry, "store"),
            "dynamodb",
            classify=classify,
            tracing=self.tracing,
            attributes={"peer.service": "dynamodb"},
        )
        self.plain = Client()
        self.client = ObservedClient(self.plain, self.calls)

    def value(self, name: str, **labels: str) -> float:
        labels = {"store": "dynamodb", **labels}
        return self.registry.get_sample_value(name, labels) or 0.0

    def ended(self, operation: str, result: str) -> float:
        return self.value("store_calls_total", operation=operation, result=result)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def refusal(code: str, *reasons: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "secret"}}
    if reasons:
        response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return ClientError(response, "GetItem")


async def test_an_operation_is_counted_timed_and_traced(watched: Watched) -> None:
    watched.plain.answers += [1, 2]
    assert await watched.client.get_item(Key="k") == {"asked": {"Key": "k"}, "answer": 1}
    await watched.client.get_item()
    assert watched.ended("GetItem", "ok") == 2
    assert watched.value("store_call_duration_seconds_count", operation="GetItem") == 2
    first, _ = watched.tracing.spans
    assert (first.kind, first.name, first.failure) == ("client", "dynamodb GetItem", None)
    assert first.attributes == {"peer.service": "dynamodb", "result": "ok"}


async def test_what_is_no_operation_is_left_as_it_was(watched: Watched) -> None:
    assert await watched.client.generate_presigned_url() == "url"
    assert watched.client.meta is Client.meta
    assert watched.tracing.spans == []
    with pytest.raises(AttributeError):
        _ = watched.client.nothing


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (refusal("ConditionalCheckFailedException"), "refused"),
        (refusal("PreconditionFailed"), "conflict"),
        (ClientError({"Error": {"Message": "secret"}}, "GetItem"), "failed"),
        (ClientError({}, "GetItem"), "failed"),
        (refusal("NoSuchKey"), "refused"),
        (refusal("404"), "refused"),
        (refusal("ConditionalRequestConflict"), "conflict"),
        (refusal("ThrottlingException"), "throttled"),
        (refusal("SlowDown"), "throttled"),
        (refusal("InternalServerError"), "failed"),
        (refusal("ValidationException"), "failed"),
        (refusal("TransactionCanceledException", "None", "TransactionConflict"), "conflict"),
        (refusal("TransactionCanceledException", "ThrottlingError", "None"), "throttled"),
        (
            refusal(
                "TransactionCanceledException", "TransactionConflict", "ConditionalCheckFailed"
            ),
            "refused",
        ),
        (EndpointConnectionError(endpoint_url="http://x"), "failed"),
        (TimeoutError(), "failed"),
        (KeyError("x"), "failed"),
    ],
)
async def test_how_a_call_ended(watched: Watched, error: Exception, result: str) -> None:
    watched.plain.answers.append(error)
    with pytest.raises(type(error)):
        await watched.client.get_item()
    assert watched.ended("GetItem", result) == 1
    (span,) = watched.tracing.spans
    assert span.attributes["result"] == result
    # An answer, even a refusal, is no failed step; and whatever it says is not quoted.
    assert span.failure == (type(error).__name__ if result == "failed" else None)
    assert "secret" not in str(span)


async def test_a_call_that_is_given_up_has_failed_and_is_not_in_flight(watched: Watched) -> None:
    call = asyncio.create_task(watched.client.put_item())
    while not watched.value("store_calls_in_flight"):  # noqa: ASYNC110 - the metric is tested
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert watched.value("store_calls_in_flight") == 0
    assert watched.ended("PutItem", "failed") == 1
    assert watched.tracing.spans[0].is_ended


def test_calls_made_again_are_counted_by_the_reason(watched: Watched) -> None:
    watched.calls.retried("conflict")
    watched.calls.retried("conflict")
    assert watched.value("store_retries_total", reason="conflict") == 2


def test_two_stores_or_peers_share_the_metrics_of_their_kind() -> None:
    metrics = CallMetrics(CollectorRegistry(), "peer")
    for target in ("users", "files"):
        with Calls(metrics, target, classify=classify).call("GET /v1/x") as call:
            call.result = "refused"
        labels = {"peer": target, "operation": "GET /v1/x", "result": "refused"}
        assert metrics.registry.get_sample_value("peer_calls_total", labels) == 1
