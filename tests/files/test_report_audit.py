"""What ./dev audit says of reports in the bucket."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from appointments_service.domain.invariants import Breach
from files_service.domain import File, Index, Status
from files_service.errors import StoreUnavailableError
from files_service.index_document import encode_index
from files_service.store_s3 import open_s3_client
from servicekit.aws_session import new_session
from tests.files.conftest import PDF_BYTES
from tests.files.test_domain import NOW, a_file
from tools.audit.reports import Reports

SHA256 = hashlib.sha256(PDF_BYTES).hexdigest()
WHERE = "report clean/a1/f1"


@pytest.fixture(name="s3")
async def s3_fixture(ministack: str) -> AsyncIterator[Any]:
    async with open_s3_client(new_session(), region="us-east-1", endpoint=ministack) as client:
        yield client


def available(file_id: str = "f1", **changes: Any) -> File:
    values = {"size_bytes": len(PDF_BYTES), "sha256": SHA256, "status": Status.AVAILABLE}
    return a_file(file_id, **{**values, **changes})


async def stored(s3: Any, bucket: str, *files: File, bodies: dict[str, bytes]) -> None:
    index = Index("a1", {file.id: file for file in files})
    await s3.put_object(Bucket=bucket, Key="index/a1.json", Body=encode_index(index))
    for file_id, body in bodies.items():
        await s3.put_object(Bucket=bucket, Key=f"clean/a1/{file_id}", Body=body)


async def audited(s3: Any, bucket: str, *, deep: bool = False) -> list[Breach]:
    seen, breaches = await Reports(s3, bucket, deep=deep, look_again=(0.0, 0.0)).run()
    assert seen["indexes of reports"] <= 1
    return breaches


async def test_what_was_verified_is_right_and_what_was_cut_off_too(s3: Any, bucket: str) -> None:
    gone = replace(available("f3"), deleted_at=NOW, deleted_by="p1")
    pending = available("f2", status=Status.PENDING)
    announced = available("f4", status=Status.PENDING)
    bodies = dict.fromkeys(["f1", "f2", "f3"], PDF_BYTES)
    await stored(s3, bucket, available(), pending, gone, announced, bodies=bodies)
    assert await audited(s3, bucket, deep=True) == []
    seen, _ = await Reports(s3, bucket).run()
    assert seen == {"reports": 3, "indexes of reports": 1}


async def test_an_object_that_no_index_knows_is_named(s3: Any, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="clean/a1/f1", Body=PDF_BYTES)
    assert await audited(s3, bucket) == [Breach(7, WHERE, "no index tells its checksum")]


async def test_another_size_is_named(s3: Any, bucket: str) -> None:
    await stored(s3, bucket, available(), bodies={"f1": b"%PDF"})
    what = f"it has 4 bytes, verified were {len(PDF_BYTES)}"
    assert await audited(s3, bucket) == [Breach(7, WHERE, what)]


async def test_another_content_of_the_same_size_is_named_if_it_is_read(
    s3: Any, bucket: str
) -> None:
    await stored(s3, bucket, available(), bodies={"f1": PDF_BYTES[::-1]})
    assert await audited(s3, bucket) == []
    what = "its content has another checksum than the one that was verified"
    assert await audited(s3, bucket, deep=True) == [Breach(7, WHERE, what)]


async def test_a_report_that_is_lost_is_named(s3: Any, bucket: str) -> None:
    await stored(s3, bucket, available(), bodies={})
    what = "it is listed as available, and isn't there"
    assert await audited(s3, bucket) == [Breach(4, WHERE, what)]


async def test_an_index_that_can_not_be_read_is_named(s3: Any, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="index/a1.json", Body=b"[]")
    [breach] = await audited(s3, bucket)
    assert (breach.invariant, breach.where) == (7, "index of reports of appointment a1")
    assert breach.what.startswith("it can't be read: TypeError")


async def test_a_bucket_that_is_not_there_is_an_error(s3: Any) -> None:
    with pytest.raises(StoreUnavailableError, match="NoSuchBucket"):
        await audited(s3, "nowhere-to-be-found")
