"""The real app, over MiniStack, with the neighbouring services as servers of their own."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from files_service.app import create_app
from files_service.bucket import create_bucket
from files_service.settings import Settings
from servicekit.testing import FakeClock, TokenMint
from tests.files.fakes import FakeNeighbours

PDF_BYTES = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n%%EOF\n"

Client = TestClient[web.Request, web.Application]


@pytest.fixture(scope="session")
def mint() -> TokenMint:
    mint = TokenMint()
    assert mint.jwks  # the key takes a while: not on the clock of the first test
    return mint


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator's credentials, and nothing of the machine's own configuration."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def neighbours(mint: TokenMint) -> FakeNeighbours:
    return FakeNeighbours(mint.jwks)


@pytest.fixture
async def neighbours_url(neighbours: FakeNeighbours) -> AsyncIterator[str]:
    async with TestServer(neighbours.app()) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def bucket(ministack: str) -> str:
    """A bucket of this test's own, as the command makes it."""
    name = f"reports-{secrets.token_hex(6)}"
    await create_bucket(Settings(bucket=name, s3_endpoint=ministack))
    return name


@pytest.fixture
def settings(ministack: str, bucket: str, neighbours_url: str) -> Settings:
    return Settings(
        bucket=bucket,
        s3_endpoint=ministack,
        appointments_url=neighbours_url,
        jwks_url=f"{neighbours_url}/.well-known/jwks.json",
    )


@pytest.fixture
async def client(settings: Settings, clock: FakeClock) -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app(settings, clock=clock))) as client:
        yield client


@dataclass
class Person:
    """Somebody with a token, who calls the service."""

    client: Client
    id: str
    token: str

    async def call(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return await self.client.request(
            method, path, headers=headers, allow_redirects=False, **options
        )

    async def announce(
        self, appointment_id: str, body: bytes = PDF_BYTES, **fields: Any
    ) -> aiohttp.ClientResponse:
        announced = {
            "appointment_id": appointment_id,
            "filename": "report.pdf",
            "content_type": "application/pdf",
            "size_bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        return await self.call("POST", "/v1/files", json=announced | fields)

    async def uploaded(self, appointment_id: str, body: bytes = PDF_BYTES, **fields: Any) -> str:
        """Announces and uploads; answers the path of the pending file."""
        created = await self.announce(appointment_id, body, **fields)
        assert created.status == 201, await created.text()
        document = await created.json()
        sent = await send_form(document["upload"], body)
        assert sent == 204
        return f"/v1/files/{appointment_id}/{document['file']['id']}"

    async def completed(self, appointment_id: str, body: bytes = PDF_BYTES, **fields: Any) -> str:
        """Announces, uploads and completes; answers the path of the available file."""
        path = await self.uploaded(appointment_id, body, **fields)
        answered = await self.call("POST", f"{path}/complete")
        assert answered.status == 200, await answered.text()
        return path


async def send_form(upload: dict[str, Any], body: bytes, **changes: str) -> int:
    """What a browser does with the form: all fields, then the file; answers the status."""
    form = FormData()
    for name, value in (upload["fields"] | changes).items():
        form.add_field(name, value)
    form.add_field("file", BytesIO(body), filename="whatever.bin")
    async with (
        aiohttp.ClientSession() as session,
        session.post(upload["url"], data=form) as answered,
    ):
        return answered.status


MakePerson = Callable[..., Person]


@pytest.fixture
def person(
    client: Client, mint: TokenMint, neighbours: FakeNeighbours, clock: FakeClock
) -> MakePerson:
    """Makes people; `sees` names the appointments that they may see."""

    def make(person_id: str, role: str = "patient", *, sees: tuple[str, ...] = ()) -> Person:
        token = mint.token(person_id, role, at=clock())
        for appointment_id in sees:
            neighbours.visible.setdefault(appointment_id, set()).add(token)
        return Person(client, person_id, token)

    return make
