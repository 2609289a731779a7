"""One suite for all tests here, and people who use it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import Client, open_client
from tests.e2e.clinic import Clinic, Person
from tests.e2e.documents import Operation, operations
from tests.e2e.examples import Desk, make_desk
from tests.e2e.running import SCALE, RunningSuite, running_suite

NAUGHTY = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "blns.json"


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    with running_suite(tmp_path_factory.mktemp("e2e") / "run") as running:
        yield running


@dataclass(frozen=True)
class People:
    """Those whom every test may use; whoever changes a person makes one."""

    admin: Person
    doctor: Person
    patient: Person


@pytest.fixture(scope="session")
def people(suite: RunningSuite) -> People:
    """An admin, a doctor who is always there, and a patient."""

    async def gather() -> People:
        async with open_client(suite.gateway) as client:
            clinic = Clinic(client, suite)
            admin = await clinic.admin()
            return People(admin, await clinic.doctor(admin), await clinic.patient())

    return asyncio.run(gather())


@pytest.fixture
async def client(suite: RunningSuite) -> AsyncIterator[Client]:
    async with open_client(suite.gateway) as client:
        yield client


@pytest.fixture
def clinic(client: Client, suite: RunningSuite) -> Clinic:
    return Clinic(client, suite)


@pytest.fixture(scope="session")
def documents(suite: RunningSuite) -> dict[str, Any]:
    """Each service's OpenAPI document, through the gateway."""
    found = {}
    for service in SCALE:
        with urllib.request.urlopen(f"{suite.gateway}/v1/openapi/{service}.json") as answer:
            found[service] = json.load(answer)
    return found


@pytest.fixture(scope="session")
def every_operation(documents: dict[str, Any]) -> list[Operation]:
    return operations(documents)


@pytest.fixture(scope="session")
def naughty_strings() -> list[str]:
    """Read in place: the vectors are not part of the project."""
    if not NAUGHTY.exists():
        pytest.skip(f"{NAUGHTY.name} is not beside this repository")
    strings: list[str] = json.loads(NAUGHTY.read_text())
    assert len(strings) > 500
    return strings


@pytest.fixture
def no_failures(suite: RunningSuite) -> Iterator[None]:
    """During the test, nothing in any log is a failure of ours."""
    positions = suite.log_positions()
    yield
    failed = [
        f"{name}: {event}"
        for name, event in suite.logged_since(positions)
        if event.get("status", 0) >= 500
        or event.get("level") in ("error", "critical")
        or event.get("event") in ("unexplained failure", "connection_failed", "not JSON")
    ]
    assert not failed, failed[:20]


@pytest.fixture(scope="session")
def desks(suite: RunningSuite, people: People) -> list[Desk]:
    """Where several can work at once, each with a doctor and a patient of its own."""

    async def furnish() -> list[Desk]:
        async with open_client(suite.gateway) as client:
            clinic = Clinic(client, suite)
            return [await make_desk(clinic, people.admin) for _ in range(8)]

    return asyncio.run(furnish())
