"""The bucket that the service needs, made or brought up to date. Idempotent."""

from typing import Any

from botocore.exceptions import ClientError

from files_service.errors import StoreUnavailableError
from files_service.settings import Settings
from files_service.store_s3 import ConflictError, MissingError, classified, open_s3_client
from servicekit.aws_session import new_session

# An answer to create_bucket that says that it is there, and ours.
_EXISTS = "BucketAlreadyOwnedByYou"


async def create_bucket(settings: Settings) -> None:
    """Makes the bucket if it is missing, and sets all that its use relies on.

    Raises:
        StoreUnavailableError: S3 is away or refuses us.
    """
    async with open_s3_client(
        new_session(), region=settings.region, endpoint=settings.s3_endpoint
    ) as client:
        try:
            with classified():
                await _ensure_bucket(client, settings)
                await configure_bucket(client, settings)
        except (ClientError, ConflictError, MissingError) as error:
            raise StoreUnavailableError(f"S3 refuses: {error}") from error


async def _ensure_bucket(client: Any, settings: Settings) -> None:
    # us-east-1 is the one region that mustn't be named as a constraint.
    where = {"CreateBucketConfiguration": {"LocationConstraint": settings.region}}
    try:
        await client.create_bucket(
            Bucket=settings.bucket, **(where if settings.region != "us-east-1" else {})
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != _EXISTS:
            raise


async def configure_bucket(client: Any, settings: Settings) -> None:
    """Versions, lifecycle, encryption, no public access, and CORS."""
    bucket = settings.bucket
    await client.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    await client.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    await client.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": lifecycle_rules(settings.retention_days)}
    )
    if settings.cors_origins:
        await client.put_bucket_cors(
            Bucket=bucket, CORSConfiguration={"CORSRules": [cors_rule(settings.cors_origins)]}
        )
    else:
        await client.delete_bucket_cors(Bucket=bucket)


def lifecycle_rules(retention_days: int) -> list[dict[str, Any]]:
    """What S3 removes by itself, once a day.

    `incoming/` is only a place of passage. In `clean/` and `index/` nothing that is current ever
    goes; what was deleted or replaced goes after the retention period, its delete marker after it.
    """
    kept = [
        {
            "ID": f"{prefix}-retention",
            "Status": "Enabled",
            "Filter": {"Prefix": f"{prefix}/"},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": retention_days},
        }
        for prefix in ("clean", "index")
    ]
    passing = {
        "ID": "incoming-passes",
        "Status": "Enabled",
        "Filter": {"Prefix": "incoming/"},
        "Expiration": {"Days": 1},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }
    unfinished = {
        "ID": "unfinished-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    return [passing, *kept, unfinished]


def cors_rule(origins: tuple[str, ...]) -> dict[str, Any]:
    """Lets pages of these origins send the signed form and read by the signed URL."""
    return {
        "ID": "signed-requests",
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "HEAD", "POST"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Disposition"],
        "MaxAgeSeconds": 3600,
    }
