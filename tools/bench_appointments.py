"""What a booking and a month of open times cost the appointments service, beside bare aioboto3.

The service runs as a process of its own on an emulator; so does the baseline, which sends the same
transaction, or the Query of the same calendar, through a client with aioboto3's own defaults. Both
are measured in CPU seconds as the kernel accounts them, in alternating rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import uvloop
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat

from appointments_service.domain.appointments import Actor, Party, booked
from appointments_service.domain.availability import Slot
from appointments_service.domain.buckets import claims_of
from appointments_service.domain.notices import notice_of
from appointments_service.domain.tallies import difference
from appointments_service.outbox import Posting
from appointments_service.store import Changed, Write
from appointments_service.store_dynamodb import create_table
from appointments_service.store_dynamodb.transactions import parts_of
from servicekit.aws import open_client
from servicekit.ids import new_id
from servicekit.testing import TokenMint
from tools import environments
from tools.emulator import Emulator
from tools.load import Program, started
from tools.processes import free_port

ROUNDS = 5
BOOKINGS = 200
READS = 200
TABLE = "bench"
REGION = "us-east-1"
_TICK = os.sysconf("SC_CLK_TCK")

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ALL_DAY = [{"start": "00:00", "end": "24:00"}]
_EIGHT_HOURS = [{"start": "09:00", "end": "17:00"}]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (proc(5); Linux only)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


async def measure() -> list[dict[str, Any]]:
    """Rows of `figure`, `ours` and `baseline` (µs of CPU a call), `ratio` and `reach`."""
    emulator_environment = environments.emulator()
    environments.ensure([emulator_environment])
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    mint = TokenMint()
    with Emulator(emulator_environment.python) as emulator:
        async with _fake_users(mint) as users, _client(emulator.url) as dynamodb:
            await create_table(dynamodb, TABLE)
            async with _service(emulator.url, users, mint) as service, _http() as http:
                bench = Bench(http, service, mint, emulator.url)
                return [await bench.booking(), *await bench.slots()]


class Bench:
    """Drives a running service and the baseline in turns."""

    def __init__(
        self, http: aiohttp.ClientSession, service: Program, mint: TokenMint, emulator: str
    ) -> None:
        """Take a session to drive with, and where the service, its process and its store are."""
        self._http = http
        self._url = f"http://127.0.0.1:{service.port}"
        self._pid = service.pid
        self._mint = mint
        self._emulator = emulator
        self._taken = 0

    async def booking(self) -> dict[str, Any]:
        """A booking against the very transaction that it sends."""
        await self._set_hours("booker", weekly=dict.fromkeys(_WEEK, _ALL_DAY), horizon_days=700)

        async def ours() -> float:
            starts = [self._next_start() for _ in range(BOOKINGS)]
            token = self._mint.token("patient", "patient")
            before = cpu_seconds(self._pid)
            for start in starts:
                await self._call(
                    "POST",
                    "/v1/appointments",
                    token,
                    {"doctor_id": "booker", "starts_at": start.isoformat()},
                )
            return cpu_seconds(self._pid) - before

        async def bare() -> float:
            return await self._bare(
                "transactions", [_actions(self._next_start()) for _ in range(BOOKINGS)]
            )

        return await _compare("booking", ours, bare, BOOKINGS, 1.7)

    async def slots(self) -> list[dict[str, Any]]:
        """A month of open times, empty and full, against the Query of that calendar."""
        rows = []
        first = datetime.now(UTC).date() + timedelta(days=7)
        last = first + timedelta(days=30)
        for name, taken in (("empty", 0), ("full", 16)):
            doctor = f"reader-{name}"
            await self._set_hours(doctor, weekly=dict.fromkeys(_WEEK, _EIGHT_HOURS))
            await self._fill(doctor, first, taken)
            path = f"/v1/schedules/{doctor}/slots?from={first}&to={last}"
            query = _month_query(doctor, first, last)

            async def ours(path: str = path) -> float:
                before = cpu_seconds(self._pid)
                for _ in range(READS):
                    await self._call("GET", path)
                return cpu_seconds(self._pid) - before

            async def bare(query: dict[str, Any] = query) -> float:
                return await self._bare("queries", [query] * READS)

            rows.append(await _compare(f"31 days of slots, {name}", ours, bare, READS, 2.0))
        return rows

    def _next_start(self) -> datetime:
        self._taken += 1
        midnight = datetime.combine(datetime.now(UTC).date(), datetime.min.time(), UTC)
        day, slot = divmod(self._taken, 46)  # the last half hour would claim the next UTC day
        return midnight + timedelta(days=2 + day, minutes=30 * slot)

    async def _set_hours(self, doctor: str, **schedule: Any) -> None:
        body = {"timezone": "UTC", "slot_minutes": 30, **schedule}
        await self._call("PUT", f"/v1/schedules/{doctor}", self._mint.token(doctor, "doctor"), body)

    async def _fill(self, doctor: str, first: date, slots_a_day: int) -> None:
        if not slots_a_day:
            return
        buckets = [str(bucket) for bucket in range(9 * 12, 9 * 12 + 6 * slots_a_day)]
        async with _client(self._emulator) as dynamodb:
            for day in range(31):
                key = f"day#{first + timedelta(days=day)}"
                await dynamodb.put_item(
                    TableName=TABLE,
                    Item={
                        "user_id": {"S": f"doctor#{doctor}"},
                        "appointment_id": {"S": key},
                        "busy": {"NS": buckets},
                    },
                )

    async def _call(
        self, method: str, path: str, token: str | None = None, body: object = None
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        async with self._http.request(
            method, self._url + path, json=body, headers=headers
        ) as answer:
            text = await answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")

    async def _bare(self, kind: str, calls: list[Any]) -> float:
        """CPU seconds of bare aioboto3 for the calls, in a process of its own."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tools.bench_appointments",
            kind,
            self._emulator,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        printed, _ = await process.communicate(json.dumps(calls).encode())
        if process.returncode:
            raise RuntimeError(f"the baseline ended with {process.returncode}")
        return float(printed)


def _actions(start: datetime) -> list[dict[str, Any]]:
    """The transaction of a booking at that time, for another doctor and patient."""
    now = datetime.now(UTC)
    begin, end = int(start.timestamp()), int(start.timestamp()) + 1800
    slot = Slot(begin, end, claims_of(begin, end), claims_of(begin, end))
    made = booked(
        new_id(now),
        slot,
        patient=Party("bare-patient", "Test Person"),
        doctor=Party("bare-doctor", "Dr. Bench"),
        timezone="UTC",
        reason=None,
        actor=Actor("bare-patient", "patient"),
        now=now,
    )
    tallies = difference(None, made, ZoneInfo("UTC"))
    notice = notice_of("booked", [made], now)
    extras = (Posting(notice),) if notice is not None else ()
    write = Write(made.doctor_id, (Changed(None, made),), 1, tallies, None, extras)
    actions = [part.action for part in parts_of(TABLE, write, {})]
    # The check of the schedule's version, on the schedule that there is.
    actions[-1]["ConditionCheck"]["Key"]["user_id"]["S"] = "doctor#booker"
    return actions


def _month_query(doctor: str, first: date, last: date) -> dict[str, Any]:
    return {
        "TableName": TABLE,
        "KeyConditionExpression": "user_id = :u AND appointment_id BETWEEN :a AND :b",
        "ExpressionAttributeValues": {
            ":u": {"S": f"doctor#{doctor}"},
            ":a": {"S": f"day#{first}"},
            ":b": {"S": f"day#{last}"},
        },
        "ConsistentRead": True,
    }


async def _compare(
    figure: str,
    ours: Callable[[], Awaitable[float]],
    bare: Callable[[], Awaitable[float]],
    calls: int,
    reach: float,
) -> dict[str, Any]:
    """Both in turns; the median of the rounds' ratios, which a noisy machine moves least."""
    await ours()
    pairs = [(await ours(), await bare()) for _ in range(ROUNDS)]
    return {
        "figure": figure,
        "unit": "µs of CPU",
        "ours": round(statistics.median(pair[0] for pair in pairs) / calls * 1e6),
        "baseline": round(statistics.median(pair[1] for pair in pairs) / calls * 1e6),
        "ratio": round(statistics.median(one / other for one, other in pairs), 2),
        "reach": f"≤ {reach}",
        "reached": statistics.median(one / other for one, other in pairs) <= reach,
    }


@asynccontextmanager
async def _http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def _client(emulator: str) -> Any:
    return open_client("dynamodb", endpoint=emulator, region=REGION)


@asynccontextmanager
async def _fake_users(mint: TokenMint) -> AsyncIterator[str]:
    """A users service that knows every doctor, in this process: its CPU is nobody's figure."""

    async def doctor(request: web.Request) -> web.Response:
        found = {"id": request.match_info["id"], "full_name": "Dr. Bench"}
        lease = {"Cache-Control": "private, max-age=1"}  # as users gives it
        return web.json_response({**found, "accepting_patients": True}, headers=lease)

    async def jwks(_request: web.Request) -> web.Response:
        return web.json_response(mint.jwks)

    app = web.Application()
    app.router.add_get("/v1/doctors/{id}", doctor)
    app.router.add_get("/.well-known/jwks.json", jwks)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@asynccontextmanager
async def _service(emulator: str, users: str, mint: TokenMint) -> AsyncIterator[Program]:
    """The service, its mail on: what a booking leaves to be sent is part of it, sending is not."""
    with TemporaryDirectory() as folder:
        key = _write_key(Path(folder, "service.pem"), mint)
        mail = {
            "APPOINTMENTS_MAIL": "ses",
            "APPOINTMENTS_MAIL_SENDERS": "0",
            "APPOINTMENTS_SERVICE_KEY_FILE": str(key),
        }
        async with _started(emulator, users, mail) as program:
            yield program


def _write_key(path: Path, mint: TokenMint) -> Path:
    unencrypted = serialization.NoEncryption()
    path.write_bytes(mint.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, unencrypted))
    return path


def _started(
    emulator: str, users: str, more: dict[str, str]
) -> AbstractAsyncContextManager[Program]:
    environment = {
        **more,
        "APPOINTMENTS_TABLE": TABLE,
        "APPOINTMENTS_DYNAMODB_ENDPOINT": emulator,
        "APPOINTMENTS_USERS_URL": users,
        "APPOINTMENTS_JWKS_URL": f"{users}/.well-known/jwks.json",
    }
    return started("appointments_service", environment=environment)


async def bare(kind: str, emulator: str, calls: list[Any]) -> float:
    """The baseline: the same calls by a client as aioboto3 makes it, one after the other."""
    import aioboto3

    session = aioboto3.Session()
    async with session.client("dynamodb", endpoint_url=emulator, region_name=REGION) as client:
        await client.describe_table(TableName=TABLE)  # the first call pays for the connection
        before = time.process_time()
        for call in calls:
            if kind == "transactions":
                await client.transact_write_items(TransactItems=call)
            else:
                await client.query(**call)
        return time.process_time() - before


def main() -> None:
    """Without arguments the table; with `KIND EMULATOR` the baseline for the calls on stdin."""
    if len(sys.argv) == 3:
        print(uvloop.run(bare(sys.argv[1], sys.argv[2], json.load(sys.stdin))))
        return
    for row in uvloop.run(measure()):
        print(row)


if __name__ == "__main__":
    main()
