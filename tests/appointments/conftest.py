"""The real app on a real emulator, a users service of the tests' own, and a clock that stands."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives import serialization

from appointments_service.app import FILLING, Store, create_app
from appointments_service.mails import open_ses_late
from appointments_service.settings import Settings
from appointments_service.store_dynamodb import DynamoDBStore, create_table
from jwtverify import StaticKeys
from servicekit.aws import ObservedClient, open_client
from servicekit.calls import Calls
from servicekit.mail import Mailer
from servicekit.testing import FakeClock, FakeMailer, TokenMint
from tests.appointments.fakes import FakeUsers
from tests.appointments.faults import FaultyClient

_tables = itertools.count(1)


async def forever(_seconds: float) -> None:
    """For what a test does itself, at its own time, and no timer is to do besides."""
    await asyncio.Event().wait()


# A Monday morning in winter; hours in the tests are UTC unless they say otherwise.
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture(scope="session")
def mint() -> TokenMint:
    return TokenMint()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def dynamodb(ministack: str, _credentials: None) -> AsyncIterator[Any]:
    async with open_client("dynamodb", endpoint=ministack, region="us-east-1") as client:
        yield client


@pytest.fixture
async def table(dynamodb: Any) -> str:
    name = f"appointments-{next(_tables)}"
    await create_table(dynamodb, name)
    # The emulator deletes by its own clock what the tests' clock still keeps.
    await dynamodb.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl"}
    )
    return name


@pytest.fixture
async def users() -> AsyncIterator[tuple[FakeUsers, str]]:
    fake = FakeUsers()
    server = TestServer(fake.app())
    await server.start_server()
    yield fake, str(server.make_url("/"))
    await server.close()


@pytest.fixture
def service_key(tmp_path: Path, mint: TokenMint) -> Path:
    pem = mint.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "service.pem"
    path.write_bytes(pem)
    return path


@dataclass
class Suite:
    """The service as its callers meet it."""

    client: TestClient[Any, Any]
    users: FakeUsers
    mint: TokenMint
    clock: FakeClock
    dynamodb: Any
    table: str

    def auth(self, subject: str, role: str, **claims: Any) -> dict[str, str]:
        token = self.mint.token(subject, role, at=self.clock.now, **claims)
        return {"Authorization": f"Bearer {token}"}

    def patient(self, subject: str = "pat", **claims: Any) -> dict[str, str]:
        return self.auth(subject, "patient", **claims)

    def doctor(self, subject: str = "doc") -> dict[str, str]:
        return self.auth(subject, "doctor")

    def admin(self) -> dict[str, str]:
        return self.auth("boss", "admin")

    async def set_hours(
        self, doctor_id: str = "doc", *, name: str = "Dr. Who", **schedule: Any
    ) -> dict[str, Any]:
        """A doctor with hours; by default every day 09:00 to 12:00 UTC in half hours."""
        if doctor_id not in self.users.doctors:
            self.users.add_doctor(doctor_id, name)
        hours = [{"start": "09:00", "end": "12:00"}]
        days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
        body = {
            "timezone": "UTC",
            "weekly": dict.fromkeys(days, hours),
            "slot_minutes": 30,
            **schedule,
        }
        answer = await self.client.put(
            f"/v1/schedules/{doctor_id}", json=body, headers=self.doctor(doctor_id)
        )
        assert answer.status == 200, await answer.text()
        set_schedule: dict[str, Any] = await answer.json()
        return set_schedule

    async def book(
        self,
        starts_at: str = "2026-03-03T09:00:00Z",
        *,
        patient: str = "pat",
        doctor: str = "doc",
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> ClientResponse:
        return await self.client.post(
            "/v1/appointments",
            json={"doctor_id": doctor, "starts_at": starts_at, **body},
            headers={**self.patient(patient), **(headers or {})},
        )

    async def booked(self, starts_at: str = "2026-03-03T09:00:00Z", **rest: Any) -> dict[str, Any]:
        answer = await self.book(starts_at, **rest)
        assert answer.status == 201, await answer.text()
        made: dict[str, Any] = await answer.json()
        return made

    async def slots(self, first: str, last: str, doctor: str = "doc", **headers: str) -> list[str]:
        answer = await self.client.get(
            f"/v1/schedules/{doctor}/slots", params={"from": first, "to": last}, headers=headers
        )
        assert answer.status == 200, await answer.text()
        return [slot["starts_at"] for slot in (await answer.json())["slots"]]

    async def fill(self) -> None:
        """What an instance does every few seconds for those who wait."""
        app = self.client.app
        assert app is not None
        await app[FILLING].work()

    def advance(self, **delta: float) -> None:
        self.clock.advance(timedelta(**delta))


@pytest.fixture
def faulty(dynamodb: Any) -> FaultyClient:
    """A client whose calls fail as a test says."""
    return FaultyClient(dynamodb)


MakeSuite = Callable[..., Any]


@pytest.fixture
async def make_suite(
    dynamodb: Any,
    ministack: str,
    table: str,
    users: tuple[FakeUsers, str],
    mint: TokenMint,
    clock: FakeClock,
    service_key: Path,
) -> AsyncIterator[MakeSuite]:
    """Starts instances of the service; each may have a store client of its own."""
    clients: list[TestClient[Any, Any]] = []

    async def make(
        store_client: Any = None, mailer: FakeMailer | None = None, **settings: Any
    ) -> Suite:
        @asynccontextmanager
        async def open_mailer(_settings: Settings, _app: web.Application) -> AsyncIterator[Mailer]:
            assert mailer is not None
            yield mailer

        @asynccontextmanager
        async def open_store(_settings: Settings, calls: Calls) -> AsyncIterator[Store]:
            client = ObservedClient(store_client or dynamodb, calls)
            yield DynamoDBStore(client, table, calls.retried)

        app = create_app(
            Settings(users_url=users[1], service_key_file=service_key, **settings),
            open_store=open_store,
            open_mailer=open_ses_late if mailer is None else open_mailer,
            clock=clock,
            keys=StaticKeys(mint.jwks),
            wait=forever,
        )
        client = TestClient(TestServer(app))
        await client.start_server()
        clients.append(client)
        return Suite(client, users[0], mint, clock, dynamodb, table)

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def suite(make_suite: MakeSuite) -> Suite:
    made: Suite = await make_suite()
    return made
