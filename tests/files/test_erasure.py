"""Of an appointment whose patient's account is closed no byte stays, in no version."""

from typing import Any

from files_service.app import open_store_of
from files_service.settings import Settings
from servicekit.aws import open_client
from servicekit.testing import FakeClock, TokenMint
from tests.files.conftest import PDF_BYTES, Client, MakePerson


def users(mint: TokenMint, clock: FakeClock, scope: str = "erase") -> dict[str, str]:
    token = mint.token("users", "service", at=clock(), scope=scope)
    return {"Authorization": f"Bearer {token}"}


async def erase(client: Client, headers: dict[str, str], appointment_id: str = "a1") -> Any:
    answer = await client.post(f"/v1/files/erasures/{appointment_id}", headers=headers)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def versions(settings: Settings) -> list[str]:
    """The key of every version and every delete marker in the bucket."""
    async with open_client("s3", endpoint=settings.s3_endpoint, region="us-east-1") as s3:
        answer = await s3.list_object_versions(Bucket=settings.bucket)
    listed = (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ()))
    return sorted(version["Key"] for version in listed)


async def test_every_version_of_everything_goes(
    client: Client, person: MakePerson, settings: Settings, mint: TokenMint, clock: FakeClock
) -> None:
    pat = person("pat", sees=("a1",))
    await pat.completed("a1")
    deleted = await pat.completed("a1", filename="other.pdf")
    assert (await pat.call("DELETE", deleted)).status == 204
    await pat.uploaded("a1", filename="pending.pdf")
    before = await versions(settings)
    assert {key.partition("/")[0] for key in before} == {"incoming", "clean", "index"}
    assert len(before) > len(set(before))

    headers = users(mint, clock)
    assert await erase(client, headers) == {"remaining": False}

    assert await versions(settings) == []
    assert await erase(client, headers) == {"remaining": False}
    listed = await pat.call("GET", "/v1/files?appointment_id=a1")
    assert (await listed.json())["items"] == []


async def test_another_appointments_files_stay(
    client: Client, person: MakePerson, settings: Settings, mint: TokenMint, clock: FakeClock
) -> None:
    # One id begins with the other.
    pat = person("pat", sees=("a1", "a1x", "a"))
    for appointment_id in ("a1x", "a"):
        await pat.completed(appointment_id)
    before = await versions(settings)
    await pat.completed("a1")
    await erase(client, users(mint, clock))
    assert await versions(settings) == before
    download = await pat.call("GET", "/v1/files?appointment_id=a1x")
    assert len((await download.json())["items"]) == 1


async def test_more_than_a_page_takes_several_calls(
    settings: Settings, client: Client, person: MakePerson
) -> None:
    await person("pat", sees=("a1",)).completed("a1")
    async with (
        open_client("s3", endpoint=settings.s3_endpoint, region="us-east-1") as s3,
        open_store_of(settings) as store,
    ):
        for _ in range(1000):
            await s3.put_object(Bucket=settings.bucket, Key="incoming/a1/f", Body=PDF_BYTES)
        calls = 1
        while await store.erase("a1"):
            calls += 1
    assert calls == 2
    assert await versions(settings) == []


async def test_while_the_store_is_away(
    client: Client, settings: Settings, mint: TokenMint, clock: FakeClock
) -> None:
    async with open_client("s3", endpoint=settings.s3_endpoint, region="us-east-1") as s3:
        await s3.delete_bucket(Bucket=settings.bucket)
    answer = await client.post("/v1/files/erasures/a1", headers=users(mint, clock))
    assert (answer.status, (await answer.json())["code"]) == (503, "store_unavailable")


async def test_only_for_the_scope(
    client: Client, person: MakePerson, mint: TokenMint, clock: FakeClock
) -> None:
    path = "/v1/files/erasures/a1"
    assert (await client.post(path)).status == 401
    for caller in (person("pat", sees=("a1",)), person("boss", "admin")):
        assert (await caller.call("POST", path)).status == 403
    answer = await client.post(path, headers=users(mint, clock, "names:read"))
    assert answer.status == 403
