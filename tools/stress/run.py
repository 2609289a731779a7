"""A run: workers ask, instances are killed, the store is restarted, and all is written down."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import serialization

from appointments_service.store_dynamodb import create_table
from servicekit.aws import open_client
from servicekit.testing import TokenMint
from tools.emulator import Emulator
from tools.processes import die_with_parent
from tools.stress.clinic import BASE, DOCTORS, OPERATION, TABLE, schedule_body
from tools.stress.drawing import Change, Clinic, Drawing
from tools.stress.history import History, Operation, Regime, Request
from tools.stress.instance import NOW_HEADER, Instance, Place, instance
from tools.stress.people import users_service

_TOKEN_LIFE = timedelta(days=365)
_AGAIN_AT_MOST = 6
# Far beyond any deadline of the service: whoever waits longer has been forgotten.
_PATIENCE_SECONDS = 60.0
REGION = "us-east-1"


@dataclass(frozen=True)
class Plan:
    """How hard a run is to be.

    Attributes:
        instances: in this process.
        processes: of their own, which are killed in the midst.
        kills: how often one of them is.
        restarts: how often the emulator is.
    """

    operations: int = 20_000
    workers: int = 16
    seed: int = 1
    instances: int = 3
    processes: int = 1
    kills: int = 8
    restarts: int = 3


@dataclass
class Outcome:
    """What a run left: its history, and how often each fault was injected."""

    history: History
    faults: Counter[str] = field(default_factory=Counter)


class Child:
    """An instance in a process of its own, which can be killed and comes back elsewhere."""

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.kills = 0

    async def start(self) -> None:
        """Start it; returns when it listens."""
        self._process = self._spawn()
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = await asyncio.to_thread(self._process.stdout.readline)
        self.url = json.loads(line)["url"]

    def _spawn(self) -> subprocess.Popen[bytes]:
        place = self._place
        arguments = [place.dynamodb, place.users, str(place.key_file)]
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tools.stress.instance",
                *arguments,
                f"{self._name}-{self.kills}",
            ],
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - binds it to this process
        )

    def kill(self) -> None:
        """End it at once, whatever it is at."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    async def replace(self) -> None:
        """Kill it, and start another."""
        self.kill()
        self.kills += 1
        await self.start()


class Run:
    """One run over an emulator that keeps its state.

    Args:
        progress: told how many operations were begun.
    """

    def __init__(
        self, plan: Plan, emulator: Emulator, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        self._plan = plan
        self._emulator = emulator
        self._progress = progress
        self._history = History()
        self._clinic = Clinic({name: doctor.rules(0) for name, doctor in DOCTORS.items()})
        self._mint = TokenMint()
        self._begun = 0
        self._order = 0
        self._there = asyncio.Event()  # the emulator is
        self._locks = {name: asyncio.Lock() for name in DOCTORS}
        self._tokens: dict[tuple[str, str], str] = {}
        self._children: list[Child] = []
        self._inside: list[Instance] = []

    async def run(self, folder: Path) -> Outcome:
        """Everything up to the moment when all has come to rest.

        Args:
            folder: for a key's file.
        """
        self._there.set()
        async with AsyncExitStack() as stack:
            self._session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0),
                    timeout=aiohttp.ClientTimeout(total=_PATIENCE_SECONDS),
                )
            )
            place = await self._place(stack, folder)
            async with _client(place.dynamodb) as client:
                await make_table(client)
            plan = self._plan
            for number in range(plan.instances):
                random = Random(f"{plan.seed}-instance-{number}")
                self._inside.append(await stack.enter_async_context(instance(place, random)))
            for number in range(plan.processes):
                child = Child(place, f"{plan.seed}-child-{number}")
                stack.callback(child.kill)
                await child.start()
                self._children.append(child)
            await self._open_doctors()
            workers = [self._work(number) for number in range(plan.workers)]
            await asyncio.gather(*workers, self._restart(), self._kill())
        return Outcome(self._history, self._faults())

    async def _place(self, stack: AsyncExitStack, folder: Path) -> Place:
        key_file = folder / "service.pem"
        key_file.write_bytes(
            self._mint.private_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        key_file.chmod(0o600)
        users = await stack.enter_async_context(users_service(self._mint))
        return Place(self._emulator.url, users, key_file)

    def _faults(self) -> Counter[str]:
        faults = Counter[str]()
        for one in self._inside:
            faults.update(one.store.counts if one.store is not None else {})
            faults["request cancelled"] += one.cancelled
        faults["process killed"] = sum(child.kills for child in self._children)
        faults["emulator restarted"] = self._plan.restarts
        return faults

    @property
    def _now(self) -> datetime:
        return BASE + OPERATION * self._begun

    async def _open_doctors(self) -> None:
        drawing = Drawing("open", Random(f"{self._plan.seed}-open"), self._clinic)
        for name, rules in self._clinic.rules.items():
            request = Request(
                kind="hours",
                mark=f"open-{name}",
                method="PUT",
                path=f"/v1/schedules/{name}",
                caller=(name, "doctor"),
                doctor=name,
                body=schedule_body(rules),
            )
            await self._change(drawing, Change(request, weekly=rules))

    async def _work(self, number: int) -> None:
        drawing = Drawing(f"w{number}", Random(f"{self._plan.seed}-worker-{number}"), self._clinic)
        while self._begun < self._plan.operations:
            drawn = drawing.draw(self._now)
            if isinstance(drawn, Change):
                await self._change(drawing, drawn)
            else:
                await self._ask_until_told(drawing, drawn)

    async def _ask_until_told(self, drawing: Drawing, request: Request) -> None:
        """As a caller should: a request with a key is sent again until there is an answer."""
        if request.key is not None and drawing.again():
            await asyncio.gather(self._ask(drawing, request), self._ask(drawing, request))
            return
        operation = await self._ask(drawing, request)
        for _ in range(_AGAIN_AT_MOST):
            lost = operation.in_doubt and not drawing.give_up()
            if request.key is None or not (lost or drawing.again()):
                return
            operation = await self._ask(drawing, request)

    async def _change(self, drawing: Drawing, change: Change) -> None:
        """One doctor's hours change one after the other: the next only after an answer, so that
        the rules of each moment are known.
        """
        doctor = change.request.doctor
        async with self._locks[doctor]:
            operation = await self._ask(drawing, change.request)
            called = operation.called
            while operation.in_doubt:
                operation = await self._ask(drawing, change.request)
            if operation.done or operation.status == 404:  # taken back by an attempt before
                rules = change.of(self._clinic.rules[doctor])
                regime = Regime(rules, called, operation.returned)
                self._history.regimes.setdefault(doctor, []).append(regime)
                self._clinic.rules[doctor] = rules

    async def _ask(self, drawing: Drawing, request: Request) -> Operation:
        await self._there.wait()
        self._begun += 1
        self._progress(self._begun)
        urls = [one.url for one in self._inside] + [one.url for one in self._children]
        url = urls[drawing.choose(len(urls))]
        operation = Operation(request, self._tick(), self._now)
        self._history.operations.append(operation)
        headers = {
            "Authorization": f"Bearer {self._token(request.caller)}",
            NOW_HEADER: operation.now.isoformat(),
        }
        if request.key is not None:
            headers["Idempotency-Key"] = request.key
        if request.if_match is not None:
            headers["If-Match"] = f'"{request.if_match}"'
        try:
            async with self._session.request(
                request.method, url + request.path, json=request.body, headers=headers
            ) as answer:
                operation.body = await answer.read()
                operation.status = answer.status
                operation.replayed = "Idempotency-Replayed" in answer.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            operation.status, operation.body = 0, b""  # nobody knows
            operation.hung = isinstance(error, TimeoutError)
        operation.later = self._now
        if not operation.in_doubt:
            operation.returned = self._tick()
        self._clinic.learn(operation)
        return operation

    def _tick(self) -> int:
        self._order += 1
        return self._order

    def _token(self, caller: tuple[str, str]) -> str:
        token = self._tokens.get(caller)
        if token is None:
            token = self._mint.token(*caller, at=BASE, lifetime=_TOKEN_LIFE)
            if caller[1] != "admin":  # the staff has a new id each time
                self._tokens[caller] = token
        return token

    async def _restart(self) -> None:
        """Stops the emulator while requests are under way, and starts it again."""
        for number in range(1, self._plan.restarts + 1):
            await self._reached(number / (self._plan.restarts + 1))
            self._there.clear()
            # In threads, for the instances in this process must go on meanwhile.
            await asyncio.to_thread(self._emulator.stop)
            await asyncio.to_thread(self._emulator.start)
            self._there.set()

    async def _kill(self) -> None:
        for number in range(self._plan.kills if self._children else 0):
            await self._reached((number + 0.5) / self._plan.kills)
            await self._children[number % len(self._children)].replace()

    async def _reached(self, share: float) -> None:
        while self._begun < self._plan.operations * share:  # noqa: ASYNC110 - a share of the work
            await asyncio.sleep(0.05)


def _client(endpoint: str) -> Any:
    return open_client("dynamodb", endpoint=endpoint, region=REGION)


async def make_table(client: Any) -> None:
    """The service's table, without the TTL: the emulator goes by a clock of its own."""
    await create_table(client, TABLE)
    await client.update_time_to_live(
        TableName=TABLE, TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl"}
    )


@asynccontextmanager
async def table_client(emulator: Emulator) -> AsyncIterator[Any]:
    """A client without faults."""
    async with _client(emulator.url) as client:
        yield client
