import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.health import check
from gateway.registry import BadTargetsFileError, TargetOptions, TargetRegistry, parse_targets
from gateway.targets import Address, TargetState
from tests.gateway.support import DEADLINE, World, ok

A, B = "http://127.0.0.1:4001", "http://127.0.0.1:4002"


class FakeChecker:
    """Answers every check as it is told, and remembers which it was asked for."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, address: Address, timeout: float) -> str | None:
        self.asked.put_nowait(f"http://{address.netloc}")
        return "told to fail" if f"http://{address.netloc}" in self.failing else None


@pytest.fixture
def checker() -> FakeChecker:
    return FakeChecker()


@pytest.fixture
async def registry(checker: FakeChecker) -> AsyncIterator[TargetRegistry]:
    options = TargetOptions(interval=3600, deregistration_delay=3600)
    registry = TargetRegistry(["users", "files"], options, checker=checker)
    yield registry
    await registry.close()


async def test_a_new_target_is_checked_at_once_and_takes_requests_after_one_pass(
    registry: TargetRegistry, checker: FakeChecker
) -> None:
    registry.apply({"users": [A]})
    assert registry.describe()[0]["state"] == "initial"
    assert await asyncio.wait_for(checker.asked.get(), DEADLINE) == A
    assert registry.describe()[0]["state"] == "healthy"


async def test_a_failing_new_target_takes_no_requests(
    registry: TargetRegistry, checker: FakeChecker
) -> None:
    checker.failing = {A}
    registry.apply({"users": [A, B]})
    for _ in range(2):
        await asyncio.wait_for(checker.asked.get(), DEADLINE)
    group = registry.groups["users"]
    assert {group.choose().url for _ in range(4)} == {B}


async def test_checks_go_on(checker: FakeChecker) -> None:
    registry = TargetRegistry(["users"], TargetOptions(interval=0.01), checker=checker)
    registry.apply({"users": [A]})
    for _ in range(3):
        assert await asyncio.wait_for(checker.asked.get(), DEADLINE) == A
    await registry.close()


async def test_a_target_that_stays_keeps_its_state(registry: TargetRegistry) -> None:
    registry.apply({"users": [A]})
    stayed = registry.groups["users"].targets[0]
    registry.apply({"users": [A, B]})
    assert registry.groups["users"].targets[0] is stayed
    assert [target.url for target in registry.groups["users"].targets] == [A, B]


async def test_a_removed_target_drains_until_its_last_request_ends(
    registry: TargetRegistry, world: World
) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    url = await world.target(accept)
    registry.apply({"users": [url]})
    group = registry.groups["users"]
    target = group.targets[0]
    connection = await target.acquire()
    registry.apply({})
    assert group.targets == []
    assert registry.describe() == [
        {"service": "users", "url": url, "state": "draining", "outstanding": 1}
    ]
    target.release(connection, reusable=True)
    drains = list(registry._drains)
    await asyncio.wait_for(asyncio.gather(*drains), DEADLINE)
    assert registry.describe() == []
    assert connection.transport.is_closing()


async def test_a_target_registered_again_while_it_drains_starts_anew(
    registry: TargetRegistry,
) -> None:
    registry.apply({"users": [A]})
    first = registry.groups["users"].targets[0]
    registry.apply({})
    registry.apply({"users": [A]})
    second = registry.groups["users"].targets[0]
    assert second is not first
    assert (first.state, second.state) == (TargetState.DRAINING, TargetState.INITIAL)


async def test_the_file_is_watched(
    registry: TargetRegistry, checker: FakeChecker, tmp_path: Path
) -> None:
    path = tmp_path / "targets.json"
    path.write_text(json.dumps({"users": [A]}))
    assert registry.load(path)
    assert not registry.load(path)
    watcher = asyncio.create_task(registry.watch(path))
    before = path.stat()
    path.write_text(json.dumps({"users": [B]}))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    asked = [await asyncio.wait_for(checker.asked.get(), DEADLINE) for _ in range(2)]
    assert asked == [A, B]
    assert [target.url for target in registry.groups["users"].targets] == [B]
    watcher.cancel()


async def test_a_bad_file_changes_nothing_and_the_next_good_one_counts(
    registry: TargetRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "targets.json"
    path.write_text(json.dumps({"users": [A]}))
    registry.load(path)
    for bad in ('{"users": [', '{"users": ["ftp://x:1"]}', '{"others": []}', "[]"):
        path.write_text(bad)
        with pytest.raises(BadTargetsFileError):
            registry.load(path)
    path.unlink()
    with pytest.raises(BadTargetsFileError):
        registry.load(path)
    assert [target.url for target in registry.groups["users"].targets] == [A]
    path.write_text(json.dumps({"files": [B]}))
    assert registry.load(path)
    assert registry.groups["users"].targets == []
    assert [target.url for target in registry.groups["files"].targets] == [B]


def test_a_target_named_twice_is_one() -> None:
    assert parse_targets(json.dumps({"users": [A, A]}).encode(), ["users"]) == {"users": [A]}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ok(), None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "status 204"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "the answer is not HTTP"),
        (b"", "connection closed"),
    ],
)
async def test_only_200_is_a_pass(world: World, answer: bytes, reason: str | None) -> None:
    heads = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)

    url = await world.target(script)
    assert await check(Address.parse(url), DEADLINE) == reason
    assert heads[0].startswith(b"GET /health HTTP/1.1\r\n")


async def test_a_target_that_says_nothing_fails(world: World) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    url = await world.target(script)
    assert await check(Address.parse(url), 0.05) == "no answer within 0.05 s"


async def test_a_target_that_refuses_fails(unused_tcp_port: int) -> None:
    reason = await check(Address("127.0.0.1", unused_tcp_port), DEADLINE)
    assert reason is not None
    assert reason.startswith("no connection")
