"""The AWS clients."""

from __future__ import annotations

import aioboto3

from servicekit.aws import open_client


async def test_two_clients_can_share_a_session() -> None:
    session = aioboto3.Session(aws_access_key_id="shared", aws_secret_access_key="secret")

    for endpoint in ("http://127.0.0.1:1", "http://127.0.0.1:2"):
        async with open_client(
            "s3",
            session=session,
            endpoint=endpoint,
            region="us-east-1",
            signature_version="s3v4",
        ) as client:
            url = await client.generate_presigned_url(
                "get_object", Params={"Bucket": "b", "Key": "k"}
            )
        assert url.startswith(f"{endpoint}/b/k?")
        assert "X-Amz-Credential=shared%2F" in url
