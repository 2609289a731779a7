"""The bucket as the command makes it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from files_service.bucket import create_bucket, lifecycle_rules
from files_service.errors import StoreUnavailableError
from files_service.settings import Settings
from files_service.store_s3 import open_s3_client
from servicekit.aws_session import new_session


async def configuration_of(settings: Settings) -> dict[str, Any]:
    async with open_s3_client(
        new_session(), region=settings.region, endpoint=settings.s3_endpoint
    ) as client:
        name = settings.bucket
        try:
            cors = (await client.get_bucket_cors(Bucket=name))["CORSRules"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchCORSConfiguration":
                raise
            cors = []
        block = await client.get_public_access_block(Bucket=name)
        lifecycle = await client.get_bucket_lifecycle_configuration(Bucket=name)
        encryption = await client.get_bucket_encryption(Bucket=name)
        [rule] = encryption["ServerSideEncryptionConfiguration"]["Rules"]
        return {
            "versioning": (await client.get_bucket_versioning(Bucket=name))["Status"],
            "public": set(block["PublicAccessBlockConfiguration"].values()),
            "lifecycle": {rule["ID"]: rule for rule in lifecycle["Rules"]},
            "encryption": rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"],
            "cors": cors,
        }


async def test_the_bucket_has_all_that_its_use_relies_on(ministack: str, bucket: str) -> None:
    settings = Settings(bucket=bucket, s3_endpoint=ministack, retention_days=400)
    await create_bucket(settings)  # once more: it is there already

    found = await configuration_of(settings)

    assert found["versioning"] == "Enabled"
    assert found["public"] == {True}
    assert found["encryption"] == "AES256"
    assert found["lifecycle"] == {rule["ID"]: rule for rule in lifecycle_rules(400)}
    assert [rule["AllowedOrigins"] for rule in found["cors"]] == [["*"]]

    narrower = settings.model_copy(update={"allowed_origins": ("https://clinic.example",)})
    await create_bucket(narrower)
    [rule] = (await configuration_of(settings))["cors"]
    assert rule["AllowedOrigins"] == ["https://clinic.example"]

    await create_bucket(settings.model_copy(update={"allowed_origins": ()}))
    assert (await configuration_of(settings))["cors"] == []


def test_what_is_current_never_expires_but_in_passing() -> None:
    for rule in lifecycle_rules(30):
        days = rule.get("Expiration", {}).get("Days")
        assert days is None or rule["Filter"] == {"Prefix": "incoming/"}


async def test_no_bucket_without_s3() -> None:
    with pytest.raises(StoreUnavailableError):
        await create_bucket(Settings(bucket="reports", s3_endpoint="http://127.0.0.1:9"))
