"""Files in one versioned S3 bucket.

Keys are made of ids only. `incoming/` takes uploads, `clean/` has what was verified and is alone
ever signed for reading, `index/` lists both, a document an appointment, changed by compare-and-set
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import aioboto3
import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from files_service.domain import File, Index, UploadForm
from files_service.errors import (
    IndexConflictError,
    NotUploadedError,
    StoreUnavailableError,
)
from files_service.index_document import decode_index, encode_index
from files_service.store import StoredIndex, Upload
from servicekit.aws import open_client
from servicekit.aws_session import new_session
from servicekit.calls import Calls

_CHUNK_BYTES = 256 * 1024
_SHA256 = "sha256"
"""The name of the metadata, `x-amz-meta-sha256` on the wire."""

# "Not there" has three names: of a key, of a version, and of a HEAD, whose answer has no body.
_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
# 412 is a lost race; 409 two writes at once, where S3 asks to try again.
_CONFLICTS = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted"})
# Not failures of S3, but of how we stand to it (bucket, credentials, clock). None is the caller's
# fault, and each is over once somebody has mended it.
_NOT_OURS_NOW = frozenset(
    {
        "AccessDenied",
        "403",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "NoSuchBucket",
        "PermanentRedirect",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "SignatureDoesNotMatch",
        "SlowDown",
        "Throttling",
    }
)


class MissingError(Exception):
    """The object or version isn't there; what that means depends on which it is."""


class ConflictError(Exception):
    """A condition of the request didn't hold."""


@contextmanager
def classified() -> Iterator[None]:
    """Sorts what botocore and aiohttp raise: missing, conflict, store away, or our own defect.

    Raises:
        MissingError, ConflictError, StoreUnavailableError; a ClientError that is none of these
        goes on as it is, for then we have sent something that S3 finds wrong.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _MISSING:
            raise MissingError(code) from error
        if code in _CONFLICTS:
            raise ConflictError(code) from error
        if status >= 500 or status == 429 or code in _NOT_OURS_NOW:
            raise StoreUnavailableError(f"S3: {code or status}") from error
        raise
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:  # OSError: TimeoutError too
        # A body that breaks off reaches us as aiohttp's own error, all else as botocore's.
        raise StoreUnavailableError(f"S3: {type(error).__name__}") from error


def _incoming(file: File) -> str:
    return f"incoming/{file.appointment_id}/{file.id}"


def _clean(file: File) -> str:
    return f"clean/{file.appointment_id}/{file.id}"


def _index(appointment_id: str) -> str:
    return f"index/{appointment_id}.json"


class S3FileStore:
    """A FileStore in S3.

    Args:
        client: for all that is sent.
        signer: for URLs that others use; its endpoint is the host that they name.
    """

    def __init__(self, client: Any, signer: Any, bucket: str) -> None:
        self._client = client
        self._signer = signer
        self._bucket = bucket

    async def load_index(self, appointment_id: str) -> StoredIndex:
        """See FileStore."""
        try:
            with classified():
                answer = await self._client.get_object(
                    Bucket=self._bucket, Key=_index(appointment_id)
                )
                async with answer["Body"]:
                    document = await answer["Body"].read()
        except MissingError:
            return StoredIndex(Index(appointment_id), None)
        return StoredIndex(decode_index(document), answer["ETag"])

    async def save_index(self, index: Index, tag: str | None) -> None:
        """See FileStore."""
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        try:
            with classified():
                await self._client.put_object(
                    Bucket=self._bucket,
                    Key=_index(index.appointment_id),
                    Body=encode_index(index),
                    ContentType="application/json",
                    **condition,
                )
        except (ConflictError, MissingError) as error:  # If-Match where nothing is: 404
            raise IndexConflictError from error

    async def sign_upload(self, file: File, lifetime: timedelta) -> UploadForm:
        """See FileStore. Costs CPU only, but for credentials that have to be renewed."""
        fields = {"Content-Type": file.content_type, f"x-amz-meta-{_SHA256}": file.sha256}
        exactly = ["content-length-range", file.size_bytes, file.size_bytes]
        with classified():
            post = await self._signer.generate_presigned_post(
                self._bucket,
                _incoming(file),
                Fields=fields,
                # It appends to this list: one that is kept would grow from call to call.
                Conditions=[*({name: value} for name, value in fields.items()), exactly],
                ExpiresIn=int(lifetime.total_seconds()),
            )
        return UploadForm(post["url"], post["fields"])

    async def find_upload(self, file: File) -> Upload | None:
        """See FileStore."""
        try:
            with classified():
                head = await self._client.head_object(Bucket=self._bucket, Key=_incoming(file))
        except MissingError:
            return None
        return Upload(
            version=_version(head),
            size_bytes=head["ContentLength"],
            content_type=head.get("ContentType", ""),
            sha256=head.get("Metadata", {}).get(_SHA256, ""),
        )

    async def read_upload(self, file: File, version: str) -> AsyncIterator[bytes]:
        """See FileStore."""
        try:
            with classified():
                answer = await self._client.get_object(
                    Bucket=self._bucket, Key=_incoming(file), VersionId=version
                )
        except MissingError as error:
            raise NotUploadedError("what was uploaded is gone") from error
        body = answer["Body"]
        async with body:  # which would give the bare response: its errors aren't botocore's
            while True:
                with classified():
                    chunk = await body.read(_CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk

    async def discard_upload(self, file: File, version: str) -> None:
        """See FileStore."""
        with classified():
            await self._client.delete_object(
                Bucket=self._bucket, Key=_incoming(file), VersionId=version
            )

    async def publish(self, file: File, version: str) -> str:
        """See FileStore. One copy within S3, up to 5 GiB."""
        try:
            with classified():
                copy = await self._client.copy_object(
                    Bucket=self._bucket,
                    Key=_clean(file),
                    CopySource={
                        "Bucket": self._bucket,
                        "Key": _incoming(file),
                        "VersionId": version,
                    },
                )
        except MissingError as error:
            raise NotUploadedError("what was uploaded is gone") from error
        return _version(copy)

    async def is_published(self, file: File) -> bool:
        """See FileStore."""
        try:
            with classified():
                await self._client.head_object(Bucket=self._bucket, Key=_clean(file))
        except MissingError:
            return False
        return True

    async def unpublish(self, file: File, version: str) -> None:
        """See FileStore."""
        with classified():
            await self._client.delete_object(
                Bucket=self._bucket, Key=_clean(file), VersionId=version
            )

    async def withdraw(self, file: File) -> None:
        """See FileStore. Without a version this sets a delete marker over those that stay."""
        with classified():
            await self._client.delete_object(Bucket=self._bucket, Key=_clean(file))

    async def sign_download(self, file: File, disposition: str, lifetime: timedelta) -> str:
        """See FileStore."""
        with classified():
            url: str = await self._signer.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": _clean(file),
                    "ResponseContentDisposition": disposition,
                    "ResponseContentType": file.content_type,
                },
                ExpiresIn=int(lifetime.total_seconds()),
            )
        return url

    async def erase(self, appointment_id: str) -> bool:
        """See FileStore. At most a page of versions under each of three prefixes."""
        index = _index(appointment_id)
        prefixes = (index, f"incoming/{appointment_id}/", f"clean/{appointment_id}/")
        return any([await self._erase_under(prefix, only=index) for prefix in prefixes])

    async def _erase_under(self, prefix: str, only: str) -> bool:
        """Deletes a page of what begins with `prefix`, a folder or the one object `only`."""
        with classified():
            page = await self._client.list_object_versions(Bucket=self._bucket, Prefix=prefix)
        versions = [
            {"Key": version["Key"], "VersionId": version["VersionId"]}
            for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            if prefix.endswith("/") or version["Key"] == only
        ]
        if versions:
            with classified():
                answer = await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": versions, "Quiet": True}
                )
            if answer.get("Errors"):
                raise StoreUnavailableError(f"S3: {answer['Errors'][0].get('Code')}")
        truncated: bool = page.get("IsTruncated", False)
        return truncated

    async def check(self) -> None:
        """See FileStore."""
        try:
            with classified():
                await self._client.head_bucket(Bucket=self._bucket)
        except MissingError as error:
            raise StoreUnavailableError("the bucket is missing") from error


def _version(answer: Any) -> str:
    version: str | None = answer.get("VersionId")
    if version is None:
        # What was verified could be replaced before it is copied: better not at all.
        raise StoreUnavailableError("the bucket keeps no versions")
    return version


@asynccontextmanager
async def open_s3_store(
    *,
    bucket: str,
    region: str,
    endpoint: str | None,
    public_endpoint: str | None,
    calls: Calls | None = None,
) -> AsyncIterator[S3FileStore]:
    """A store whose clients are open.

    Args:
        endpoint: of an emulator; None for AWS itself.
        public_endpoint: whom signed URLs name, since the host is part of the signature; None if
            callers reach S3 as this process does.
        calls: how its calls are counted; signing is none.
    """
    session = new_session()
    async with open_s3_client(session, region=region, endpoint=endpoint, calls=calls) as client:
        if public_endpoint is None or public_endpoint == endpoint:
            yield S3FileStore(client, client, bucket)
            return
        async with open_s3_client(session, region=region, endpoint=public_endpoint) as signer:
            yield S3FileStore(client, signer, bucket)


@asynccontextmanager
async def open_s3_client(
    session: aioboto3.Session, *, region: str, endpoint: str | None, calls: Calls | None = None
) -> AsyncIterator[Any]:
    """A client that signs with SigV4, which us-east-1 would otherwise not do for URLs.

    On AWS the bucket is part of the host, which also makes signed URLs name the region: the global
    host answers new buckets with a redirect that a browser's POST can't follow.
    """
    async with open_client(
        "s3",
        session=session,
        endpoint=endpoint,
        region=region,
        calls=calls,
        signature_version="s3v4",
        s3={"addressing_style": "virtual" if endpoint is None else "path"},
        # The content is hashed here anyway, against what the caller announced.
        response_checksum_validation="when_required",
    ) as client:
        yield client
