"""A clinic at work through the gateway: reads and writes of every service, each answer counted."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from tests.e2e.client import Answer, Client
from tests.e2e.clinic import Person, PublicAPI, at, today

WORKERS = 4
_REPORT = b"All is well.\n"
_SLOTS_A_DAY = 288
_FIRST_DAY = 2  # a night shift of a test may end tomorrow
_MORE_SECONDS = 180.0  # where nothing works any more


class Load:
    """What the workers have seen so far.

    Attributes:
        answers: how many of each status.
        failed: a text for each request that had no answer, or another than it must have.
    """

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.failed: list[str] = []
        self.ending = False
        self._awaited = 0
        self._reached = asyncio.Event()

    @property
    def total(self) -> int:
        return self.answers.total() + len(self.failed)

    def count(self, status: int) -> None:
        self.answers[status] += 1
        if self.total >= self._awaited:
            self._reached.set()

    async def more(self, number: int) -> None:
        """Wait until so many more requests have been answered."""
        self._awaited = self.total + number
        self._reached.clear()
        async with asyncio.timeout(_MORE_SECONDS):
            await self._reached.wait()


class _Counting(Client):
    """Counts each answer."""

    def __init__(self, session: aiohttp.ClientSession, base: str, load: Load) -> None:
        super().__init__(session, base)
        self._load = load

    async def send(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        token: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        base: str | None = None,
    ) -> Answer:
        answer = await super().send(method, target, body, token=token, headers=headers, base=base)
        if answer.status < 300:
            self._load.count(answer.status)
        return answer


@asynccontextmanager
async def under_load(gateway: str, admin: dict[str, Any]) -> AsyncIterator[Load]:
    """Workers at work: half of them on kept connections, half open one a request."""
    load = Load()
    async with AsyncExitStack() as stack:
        desks = []
        for number in range(WORKERS):
            connector = aiohttp.TCPConnector(force_close=number % 2 == 1)
            session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=90),
                skip_auto_headers=("Content-Type",),
            )
            api = PublicAPI(_Counting(await stack.enter_async_context(session), gateway, load))
            staff = await api.login(admin["email"], admin["password"])
            desks.append((api, await api.doctor(staff), await api.patient()))
        async with asyncio.TaskGroup() as workers:
            for desk in desks:
                workers.create_task(_work(load, *desk))
            try:
                yield load
            finally:
                load.ending = True


async def _work(load: Load, api: PublicAPI, doctor: Person, patient: Person) -> None:
    for number in itertools.count():
        if load.ending:
            return
        try:
            await _round(api, doctor, patient, number)
        except (AssertionError, aiohttp.ClientError, TimeoutError) as failure:
            load.failed.append(f"{type(failure).__name__} {failure}")


async def _round(api: PublicAPI, doctor: Person, patient: Person, number: int) -> None:
    """Book the doctor's next time and attach a report, looking at all that one would look at."""
    ok = api.client.ok
    starts_at = at(_FIRST_DAY + number // _SLOTS_A_DAY, number % _SLOTS_A_DAY)
    booked = await ok(
        "POST",
        "/v1/appointments",
        {"doctor_id": doctor.id, "starts_at": starts_at, "reason": "checkup"},
        token=patient.token,
        headers=[("Idempotency-Key", uuid.uuid4().hex)],
    )
    me = await ok("GET", "/v1/users/me", token=patient.token)
    assert me["id"] == patient.id
    found = await ok("GET", f"/v1/appointments/{booked['id']}", token=patient.token)
    assert found == booked
    slots = await ok("GET", f"/v1/schedules/{doctor.id}/slots?from={today()}&to={today()}")
    assert slots["doctor_id"] == doctor.id
    await ok("PATCH", "/v1/users/me", {"phone": f"+49 30 {number}"}, token=patient.token)
    file = await api.attach(patient, booked["id"], _REPORT)
    assert file["status"] == "available"
    files = f"/v1/files/{booked['id']}/{file['id']}"
    assert (await ok("GET", f"{files}/download", token=doctor.token))["url"]
    assert await ok("GET", files, token=doctor.token) == file
    if number % 4 == 3:
        await api.patient()
