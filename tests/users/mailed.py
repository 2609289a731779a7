"""The service with a mailer of the test's own, and what stands in its mails."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient
from sqlalchemy import Engine, event

from servicekit.mail import Mailer
from servicekit.testing import FakeClock, FakeMailer
from tests.users.api import Api
from users_service.app import create_app
from users_service.settings import UsersSettings

BASE = "https://clinic.example"


class Mailed:
    """An instance that mails to a fake."""

    def __init__(self, api: Api, mailer: FakeMailer) -> None:
        self.api = api
        self.mailer = mailer

    async def ask(self, path: str, body: object, *, address: str = "192.0.2.1") -> Any:
        """What a request is answered with: 202 and nothing else."""
        response = await self.api.call("POST", path, body, headers={"X-Forwarded-For": address})
        assert response.status == 202, await response.text()
        assert await response.read() == b""
        return response

    async def mails(self, count: int) -> list[tuple[str, str]]:
        """To whom, and with which subject; once so many were sent."""
        while len(self.mailer.sent) < count:
            self.mailer.reached.clear()
            await self.mailer.reached.wait()
            await asyncio.sleep(0)
        assert len(self.mailer.sent) == count
        return [(mail.to, mail.subject) for mail in self.mailer.sent]

    async def tries(self, count: int) -> None:
        """Returns when something was given to the mailer so often."""
        while self.mailer.tries < count:
            self.mailer.reached.clear()
            await self.mailer.reached.wait()

    async def token(self, count: int = 1) -> str:
        """The token in the `count`th mail."""
        await self.mails(count)
        text = self.mailer.sent[-1].text
        found = re.search(r"#token=([\w-]{43})$", text, re.MULTILINE)
        assert found is not None, text
        assert text.count(found[1]) == 2  # the link, and the bare code
        assert BASE in text
        return found[1]


async def start(
    settings: UsersSettings, clock: FakeClock, aiohttp_client: AiohttpClient, mailer: FakeMailer
) -> Mailed:
    """One more instance over the same database."""

    @asynccontextmanager
    async def open_mailer(_settings: object, _app: web.Application) -> AsyncIterator[Mailer]:
        yield mailer

    async def wait(_seconds: float) -> None:
        await asyncio.sleep(0)

    app = create_app(settings, clock=clock, open_mailer=open_mailer, wait=wait)
    return Mailed(Api(await aiohttp_client(app)), mailer)


class Work:
    """What is asked of the database, and how often a password is hashed."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        """A statement."""
        self.done.append(" ".join(statement.split()))

    def take(self) -> list[str]:
        """All since the last time."""
        done, self.done = self.done, []
        return done


@asynccontextmanager
async def watched() -> AsyncIterator[Work]:
    """Every statement of every engine, in order."""
    work = Work()
    event.listen(Engine, "before_cursor_execute", work.note)
    try:
        yield work
    finally:
        event.remove(Engine, "before_cursor_execute", work.note)
