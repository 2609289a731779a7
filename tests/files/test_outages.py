"""S3 away, coming back, and breaking off in mid-answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from files_service.app import create_app
from files_service.errors import StoreUnavailableError
from files_service.settings import Settings
from files_service.store_s3 import ConflictError, MissingError, classified
from servicekit.testing import FakeClock
from tests.files.conftest import Client, MakePerson
from tests.files.proxy import Proxy

URL = "http://127.0.0.1:1"


@pytest.fixture
async def proxy(ministack: str) -> AsyncIterator[Proxy]:
    async with Proxy(ministack) as proxy:
        yield proxy


@pytest.fixture
async def client(
    settings: Settings, ministack: str, proxy: Proxy, clock: FakeClock
) -> AsyncIterator[Client]:
    """The app behind the proxy; uploads and downloads go past it."""
    through = settings.model_copy(
        update={"s3_endpoint": proxy.url, "s3_public_endpoint": ministack}
    )
    async with TestClient(TestServer(create_app(through, clock=clock))) as client:
        yield client


async def test_every_operation_says_so_and_goes_on_when_s3_is_back(
    person: MakePerson, proxy: Proxy, client: Client
) -> None:
    patient = person("p1", sees=("a1",))
    done = await patient.completed("a1")
    pending = await patient.uploaded("a1")
    calls = [
        ("GET", "/v1/files?appointment_id=a1", 200),
        ("GET", done, 200),
        ("GET", f"{done}/download", 200),
        ("POST", f"{pending}/complete", 200),
        ("POST", f"{done}/complete", 200),
        ("DELETE", done, 204),
    ]

    await proxy.away()

    for method, path, _ in calls:
        refused = await patient.call(method, path)
        assert refused.status == 503, (method, path)
        assert (await refused.json())["code"] == "store_unavailable"
        assert int(refused.headers["Retry-After"]) >= 1
    assert (await patient.announce("a1")).status == 503
    assert (await client.get("/health")).status == 200
    assert (await client.get("/health/dependencies")).status == 503

    await proxy.back()

    for method, path, status in calls:
        assert (await patient.call(method, path)).status == status, (method, path)
    assert (await patient.announce("a1")).status == 201
    assert (await client.get("/health/dependencies")).status == 200


async def test_a_complete_whose_reading_breaks_off_can_be_done_again(
    person: MakePerson, proxy: Proxy
) -> None:
    patient = person("p1", sees=("a1",))
    body = b"a line of text\n" * 100_000
    path = await patient.uploaded("a1", body, content_type="text/plain")
    await proxy.away()
    proxy.break_after = len(body) // 2
    await proxy.back()

    refused = await patient.call("POST", f"{path}/complete")

    assert (refused.status, (await refused.json())["code"]) == (503, "store_unavailable")
    assert proxy.broken == 1
    assert (await (await patient.call("GET", path)).json())["status"] == "pending"

    proxy.break_after = None
    assert (await patient.call("POST", f"{path}/complete")).status == 200


async def test_a_bucket_that_is_missing_is_a_store_that_is_away(
    settings: Settings, person: MakePerson, clock: FakeClock
) -> None:
    nowhere = settings.model_copy(update={"bucket": "nobody-made-this-one"})
    async with TestClient(TestServer(create_app(nowhere, clock=clock))) as client:
        patient = person("p1", sees=("a1",))
        patient.client = client
        refused = await patient.call("GET", "/v1/files?appointment_id=a1")
        assert (refused.status, (await refused.json())["code"]) == (503, "store_unavailable")
        assert (await client.get("/health/dependencies")).status == 503


def client_error(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject"
    )


@pytest.mark.parametrize(
    "raised",
    [
        client_error("InternalError", 500),
        client_error("SlowDown", 503),
        client_error("", 502),
        client_error("TooManyRequests", 429),
        client_error("NoSuchBucket", 404),
        client_error("AccessDenied", 403),
        client_error("403", 403),
        client_error("ExpiredToken", 400),
        client_error("RequestTimeTooSkewed", 403),
        EndpointConnectionError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        NoCredentialsError(),
        aiohttp.ClientPayloadError("cut"),
        aiohttp.ServerDisconnectedError(),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=repr,
)
def test_what_means_that_the_store_is_away(raised: Exception) -> None:
    with pytest.raises(StoreUnavailableError), classified():
        raise raised


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("NoSuchKey", 404, MissingError),
        ("NoSuchVersion", 404, MissingError),
        ("404", 404, MissingError),
        ("PreconditionFailed", 412, ConflictError),
        ("ConditionalRequestConflict", 409, ConflictError),
        ("InvalidArgument", 400, ClientError),  # a defect of ours, and no outage
    ],
)
def test_what_means_something_else(code: str, status: int, expected: type[Exception]) -> None:
    with pytest.raises(expected), classified():
        raise client_error(code, status)


async def test_a_cancelled_call_is_no_outage() -> None:
    with pytest.raises(asyncio.CancelledError), classified():
        raise asyncio.CancelledError
