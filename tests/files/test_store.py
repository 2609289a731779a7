"""What every FileStore must do, checked on S3 (MiniStack) and on the store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from files_service.domain import File, Index
from files_service.errors import IndexConflictError, NotUploadedError
from files_service.store import FileStore
from files_service.store_s3 import S3FileStore, open_s3_store
from tests.files.conftest import PDF_BYTES, send_form
from tests.files.fakes import MemoryStore
from tests.files.test_domain import a_file
from tests.files.test_journey import fetch

LIFETIME = timedelta(minutes=5)
FILE = replace(a_file(), size_bytes=len(PDF_BYTES))


@pytest.fixture(params=["memory", "s3"])
async def store(
    request: pytest.FixtureRequest, ministack: str, bucket: str
) -> AsyncIterator[FileStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    async with open_s3_store(
        bucket=bucket, region="us-east-1", endpoint=ministack, public_endpoint=None
    ) as opened:
        yield opened


async def upload(store: FileStore, file: File, body: bytes = PDF_BYTES) -> str:
    if isinstance(store, MemoryStore):
        return store.upload(file, body)
    form = await store.sign_upload(file, LIFETIME)
    assert await send_form({"url": form.url, "fields": dict(form.fields)}, body) == 204
    found = await store.find_upload(file)
    assert found is not None
    return found.version


async def read(store: FileStore, file: File, version: str) -> bytes:
    return b"".join([chunk async for chunk in store.read_upload(file, version)])


async def test_an_index_that_was_never_saved_is_empty(store: FileStore) -> None:
    stored = await store.load_index("nobody")
    assert stored.index == Index("nobody")
    assert stored.tag is None


async def test_an_index_is_replaced_only_as_it_was_loaded(store: FileStore) -> None:
    empty = await store.load_index("a1")
    one = empty.index.adding(FILE)
    await store.save_index(one, empty.tag)
    loaded = await store.load_index("a1")
    assert loaded.index == one

    with pytest.raises(IndexConflictError):
        await store.save_index(one.without(FILE.id), None)
    two = one.adding(replace(FILE, id="f2"))
    await store.save_index(two, loaded.tag)
    with pytest.raises(IndexConflictError):
        await store.save_index(one, loaded.tag)
    with pytest.raises(IndexConflictError):
        await store.save_index(Index("other"), loaded.tag)
    assert (await store.load_index("a1")).index == two


async def test_of_many_who_save_at_once_one_wins(store: FileStore) -> None:
    async def save(number: int) -> bool:
        try:
            await store.save_index(Index("a1").adding(replace(FILE, id=f"f{number}")), None)
        except IndexConflictError:
            return False
        return True

    won = await asyncio.gather(*(save(number) for number in range(12)))

    assert won.count(True) == 1
    assert set((await store.load_index("a1")).index.files) == {f"f{won.index(True)}"}


async def test_an_upload_is_found_with_what_was_sent_along(store: FileStore) -> None:
    assert await store.find_upload(FILE) is None
    version = await upload(store, FILE)

    found = await store.find_upload(FILE)

    assert found is not None
    assert found.version == version
    assert (found.size_bytes, found.content_type) == (len(PDF_BYTES), "application/pdf")
    assert found.sha256 == FILE.sha256


async def test_versions_of_an_upload_are_apart(store: FileStore) -> None:
    other = bytes(reversed(PDF_BYTES))
    first = await upload(store, FILE)
    second = await upload(store, FILE, other)
    assert await read(store, FILE, first) == PDF_BYTES
    assert await read(store, FILE, second) == other

    await store.discard_upload(FILE, second)

    found = await store.find_upload(FILE)
    assert found is not None
    assert found.version == first
    await store.discard_upload(FILE, first)
    assert await store.find_upload(FILE) is None
    with pytest.raises(NotUploadedError):
        await store.publish(FILE, second)


async def test_what_is_published_can_be_withdrawn_and_taken_back(store: FileStore) -> None:
    version = await upload(store, FILE)
    assert not await store.is_published(FILE)
    await store.publish(FILE, version)
    assert await store.is_published(FILE)

    await store.withdraw(FILE)
    assert not await store.is_published(FILE)

    again = await store.publish(FILE, version)
    assert await store.is_published(FILE)
    await store.withdraw(FILE)
    await store.unpublish(FILE, again)
    assert not await store.is_published(FILE)


async def published(store: FileStore, file: File) -> bytes:
    if isinstance(store, MemoryStore):
        return list(store.clean[file.id].values())[-1]
    status, body, _ = await fetch(await store.sign_download(file, "attachment", LIFETIME))
    assert status == 200
    return body


async def test_the_version_that_is_named_is_published_and_no_later_one(store: FileStore) -> None:
    first = await upload(store, FILE)
    await upload(store, FILE, bytes(reversed(PDF_BYTES)))

    await store.publish(FILE, first)

    assert await published(store, FILE) == PDF_BYTES


async def test_the_store_can_be_checked(store: FileStore) -> None:
    await store.check()


async def test_s3_refuses_what_the_form_does_not_fix(ministack: str, bucket: str) -> None:
    async with open_s3_store(
        bucket=bucket, region="us-east-1", endpoint=ministack, public_endpoint=None
    ) as store:
        first = await store.sign_upload(FILE, LIFETIME)
        form = await store.sign_upload(FILE, LIFETIME)
        assert set(form.fields) == {
            "Content-Type",
            "key",
            "policy",
            "x-amz-algorithm",
            "x-amz-credential",
            "x-amz-date",
            "x-amz-meta-sha256",
            "x-amz-signature",
        }
        assert form.fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
        assert len(form.fields["policy"]) == len(first.fields["policy"])
        document = {"url": form.url, "fields": dict(form.fields)}

        assert await send_form(document, PDF_BYTES + b"\n") == 400
        assert await send_form(document, PDF_BYTES[:-1]) == 400
        assert await send_form(document, PDF_BYTES, key="clean/a1/f1") == 403
        assert await send_form(document, PDF_BYTES, **{"Content-Type": "text/html"}) == 403
        assert await send_form(document, PDF_BYTES, **{"x-amz-meta-sha256": "1" * 64}) == 403
        assert await send_form(document, PDF_BYTES, **{"x-amz-meta-more": "1"}) == 403
        assert await store.find_upload(FILE) is None


async def test_signed_urls_name_the_public_host_and_nothing_but_clean(
    ministack: str, bucket: str
) -> None:
    async with open_s3_store(
        bucket=bucket,
        region="us-east-1",
        endpoint=ministack,
        public_endpoint="https://files.example.org",
    ) as store:
        form = await store.sign_upload(FILE, LIFETIME)
        url = await store.sign_download(FILE, "attachment", LIFETIME)
        await store.check()  # our own requests go to the other endpoint

    assert form.url == f"https://files.example.org/{bucket}"
    assert url.startswith(f"https://files.example.org/{bucket}/clean/a1/f1?")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    assert "X-Amz-Expires=300" in url
    assert "X-Amz-SignedHeaders=host" in url


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
async def test_on_aws_signed_urls_name_the_region(region: str) -> None:
    """The global host redirects requests for a new bucket, which a form can't follow."""
    async with open_s3_store(
        bucket="reports", region=region, endpoint=None, public_endpoint=None
    ) as store:
        assert isinstance(store, S3FileStore)
        form = await store.sign_upload(FILE, LIFETIME)
        url = await store.sign_download(FILE, "attachment", LIFETIME)

    hosts = {f"reports.s3.{region}.amazonaws.com"}
    if region == "us-east-1":
        hosts.add("reports.s3.amazonaws.com")  # there it is the region's own
    assert form.url.removeprefix("https://").rstrip("/") in hosts
    assert url.removeprefix("https://").split("/")[0] in hosts
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


async def test_what_is_erased_is_gone_wherever_it_lay(store: FileStore) -> None:
    empty = await store.load_index(FILE.appointment_id)
    await store.save_index(empty.index.adding(FILE), None)
    version = await upload(store, FILE)
    await store.publish(FILE, version)
    await store.withdraw(FILE)
    assert await store.erase(FILE.appointment_id) is False
    assert (await store.load_index(FILE.appointment_id)).tag is None
    assert await store.find_upload(FILE) is None
    assert not await store.is_published(FILE)
    with pytest.raises(NotUploadedError):
        await store.publish(FILE, version)
    assert await store.erase(FILE.appointment_id) is False
