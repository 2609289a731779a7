"""One client an AWS service a process: opened with the app, closed with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig

from servicekit.aws_session import new_session


@asynccontextmanager
async def open_client(
    service: str,
    *,
    endpoint: str | None,
    region: str,
    session: aioboto3.Session | None = None,
    connections: int = 100,
    connect_timeout: float = 2.0,
    read_timeout: float = 5.0,
    **config: Any,
) -> AsyncIterator[Any]:
    """A low-level client for `service` ("dynamodb", "s3").

    Retries are left to the caller (one attempt), who knows which calls may be sent again and by
    when the answer is due. Parameters are not validated against the service model: the stores
    build them from checked values, and validation costs a tenth of a call. The user agent is fixed,
    since botocore else composes it anew for every call.

    Args:
        endpoint: of an emulator; None for AWS itself.
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
        yield client
