"""Targets by name: each address of a name is a target, which comes and goes with the answers."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.names import resolve
from gateway.registry import BadTargetsFileError, TargetOptions, TargetRegistry, parse_targets
from gateway.targets import Address, TargetState
from tests.gateway.conftest import StartGateway
from tests.gateway.support import DEADLINE, Recorder, World, exchange, get, ok, status_of

NAME = "dns+http://users:8080"
ONE, TWO, THREE = (f"http://10.0.0.{number}:8080" for number in (1, 2, 3))


class FakeResolver:
    """Answers as it is told, one answer a question; the next question waits for the next answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.waiting = asyncio.Event()
        self._answers: asyncio.Queue[list[str] | OSError] = asyncio.Queue()

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        self.waiting.set()
        answer = await self._answers.get()
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def answer(self, answer: list[str] | OSError) -> None:
        """Give an answer, and return once what follows from it has been done."""
        await asyncio.wait_for(self.waiting.wait(), DEADLINE)
        self.waiting.clear()
        self._answers.put_nowait(answer)
        await asyncio.wait_for(self.waiting.wait(), DEADLINE)


@pytest.fixture
def resolver() -> FakeResolver:
    return FakeResolver()


async def passing(address: Address, timeout: float) -> str | None:
    return None


@pytest.fixture
async def registry(resolver: FakeResolver) -> AsyncIterator[TargetRegistry]:
    options = TargetOptions(interval=3600, deregistration_delay=3600, resolve_interval=0.001)
    registry = TargetRegistry(["users", "files"], options, checker=passing, resolve=resolver)
    yield registry
    await registry.close()


def urls(registry: TargetRegistry, service: str = "users") -> list[str]:
    return [target.url for target in registry.groups[service].targets]


async def test_every_address_of_a_name_is_a_target_with_checks_of_its_own(
    registry: TargetRegistry, resolver: FakeResolver
) -> None:
    registry.apply({"users": [NAME]})
    assert urls(registry) == []
    await resolver.answer(["10.0.0.1", "10.0.0.2"])
    assert urls(registry) == [ONE, TWO]
    assert [row["state"] for row in registry.describe()] == ["healthy", "healthy"]
    assert resolver.asked[0] == ("users", 8080)


async def test_an_address_that_comes_is_registered_and_one_that_goes_drains(
    registry: TargetRegistry, resolver: FakeResolver
) -> None:
    registry.apply({"users": [NAME]})
    await resolver.answer(["10.0.0.1", "10.0.0.2"])
    first, second = registry.groups["users"].targets
    await resolver.answer(["10.0.0.2", "10.0.0.3"])
    assert urls(registry) == [TWO, THREE]
    assert registry.groups["users"].targets[0] is second
    assert first.state is TargetState.DRAINING
    await resolver.answer([])
    assert urls(registry) == []


async def test_no_answer_changes_nothing(registry: TargetRegistry, resolver: FakeResolver) -> None:
    registry.apply({"users": [NAME]})
    await resolver.answer(["10.0.0.1"])
    await resolver.answer(socket.gaierror(socket.EAI_AGAIN, "temporary failure"))
    await resolver.answer(TimeoutError())
    assert urls(registry) == [ONE]
    await resolver.answer(["10.0.0.2"])
    assert urls(registry) == [TWO]


async def test_names_and_urls_mix_and_an_address_counts_once(
    registry: TargetRegistry, resolver: FakeResolver
) -> None:
    registry.apply({"users": [TWO, NAME]})
    assert urls(registry) == [TWO]
    await resolver.answer(["10.0.0.1", "10.0.0.2"])
    assert sorted(urls(registry)) == [ONE, TWO]


async def test_a_name_that_is_not_wanted_any_more_is_not_resolved_any_more(
    registry: TargetRegistry, resolver: FakeResolver
) -> None:
    registry.apply({"users": [NAME]})
    await resolver.answer(["10.0.0.1"])
    registry.apply({"files": [THREE]})
    assert (urls(registry), urls(registry, "files")) == ([], [THREE])
    registry.apply({"users": [NAME]})
    assert urls(registry) == []  # an answer of before says nothing of now
    await resolver.answer(["10.0.0.2"])
    assert urls(registry) == [TWO]


async def test_an_ipv6_address_is_written_in_brackets(
    registry: TargetRegistry, resolver: FakeResolver
) -> None:
    registry.apply({"users": [NAME]})
    await resolver.answer(["fd00::7"])
    assert urls(registry) == ["http://[fd00::7]:8080"]


@pytest.mark.parametrize("entry", ["dns+https://users:8080", "dns+http://users", "dns+users:8080"])
def test_another_kind_of_name_is_refused(entry: str) -> None:
    with pytest.raises(BadTargetsFileError):
        parse_targets(json.dumps({"users": [entry]}).encode(), ["users"])


async def test_the_system_resolves_a_name(unused_tcp_port: int) -> None:
    assert "127.0.0.1" in await resolve("localhost", unused_tcp_port)
    assert await resolve("127.0.0.1", unused_tcp_port) == ["127.0.0.1"]


async def test_a_name_that_nobody_has_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "name or service not known")

    class Loop:
        getaddrinfo = staticmethod(nobody)

    monkeypatch.setattr(asyncio, "get_running_loop", Loop)
    assert await resolve("users", 8080) == []


async def test_a_gateway_sends_requests_to_a_target_by_name(
    world: World, start_gateway: StartGateway
) -> None:
    target = Recorder(ok(b"found"))
    url = await world.target(target)
    gateway = await start_gateway([f"dns+{url}"])
    await asyncio.wait_for(target.checked.wait(), DEADLINE)
    answer = await exchange(gateway, get("/v1/doctors"))
    assert status_of(answer) == 200
    assert answer.endswith(b"found")
