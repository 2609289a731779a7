"""Targets, how well they are, and which of them takes the next request.

Source: Elastic Load Balancing, "Target groups for your Application Load Balancers" and "Health
checks for Application Load Balancer target groups".
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

from gateway.connections import Connection
from gateway.errors import DrainTimeoutError, RefusedError
from gateway.pools import ConnectionPool

Algorithm = Literal["round_robin", "least_outstanding_requests"]


class TargetState(StrEnum):
    """What the load balancer thinks of a target."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many checks in a row change a target's state."""

    healthy: int = 5
    unhealthy: int = 2


@dataclass(frozen=True, slots=True)
class Address:
    """Where a target listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read `http://host:port`.

        Raises:
            ValueError: it is anything else.
        """
        parts = urlsplit(url)
        extras = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
        if parts.scheme != "http" or not parts.hostname or not parts.port or any(extras):
            raise ValueError(f"a target is written http://host:port, not {url!r}")
        return cls(parts.hostname, parts.port)

    @property
    def netloc(self) -> str:
        """As a Host header has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Target:
    """One registered instance of a service."""

    def __init__(
        self, url: str, *, thresholds: Thresholds, idle_seconds: float, connect_seconds: float
    ) -> None:
        """Register a target; it takes requests once it has passed a health check.

        Raises:
            ValueError: the URL is not one of a target.
        """
        self.url = url
        self.address = Address.parse(url)
        self.netloc = self.address.netloc.encode()
        self.state = TargetState.INITIAL
        self.outstanding = 0
        self._pool = ConnectionPool(
            self.address.host,
            self.address.port,
            idle_seconds=idle_seconds,
            connect_seconds=connect_seconds,
        )
        self._thresholds = thresholds
        self._passed = 0
        self._failed = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def record(self, *, passed: bool) -> bool:
        """Count a health check in; returns whether the state has changed.

        The first pass is enough for a new target, later it takes `thresholds.healthy` in a row.
        """
        before = self.state
        if before is TargetState.DRAINING:
            return False
        self._passed = self._passed + 1 if passed else 0
        self._failed = 0 if passed else self._failed + 1
        needed = 1 if before is TargetState.INITIAL else self._thresholds.healthy
        if self._passed >= needed:
            self.state = TargetState.HEALTHY
        elif self._failed >= self._thresholds.unhealthy:
            self.state = TargetState.UNHEALTHY
        return self.state is not before

    async def acquire(self) -> Connection:
        """Begin a request: lend a connection, to be given back with `release`.

        Raises:
            TimeoutError: no connection within the connect timeout.
            OSError: it was refused.
        Nothing can have been sent, whichever it is.
        """
        self.outstanding += 1
        self._quiet.clear()
        try:
            return await self._pool.acquire()
        except BaseException:
            self._end()
            raise

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """End a request."""
        self._pool.release(connection, reusable=reusable)
        self._end()

    def _end(self) -> None:
        self.outstanding -= 1
        if not self.outstanding:
            self._quiet.set()

    async def drain(self, delay: float) -> None:
        """Take no more requests, and wait until none is in flight or the delay has run out.

        What is then still in flight fails, as it does on AWS.
        """
        self.state = TargetState.DRAINING
        self._pool.close()
        try:
            async with asyncio.timeout(delay):
                await self._quiet.wait()
        except TimeoutError:
            self._pool.fail_leased(DrainTimeoutError())

    def close(self) -> None:
        """Close what is idle."""
        self._pool.close()


class TargetGroup:
    """The targets of one service."""

    def __init__(self, service: str, algorithm: Algorithm = "round_robin") -> None:
        """Begin without any target."""
        self.service = service
        self.targets: list[Target] = []
        self.draining: list[Target] = []
        self.connect_failures = {"refused": 0, "timeout": 0}
        self._algorithm = algorithm
        self._turn = 0

    def choose(self, failed: Mapping[Target, int] = MappingProxyType({})) -> Target:
        """Choose a target for a request, leaving out those that took no connection for it.

        Only healthy targets are chosen; where there is none, all are (it fails open).

        Args:
            failed: the status that each of those would be answered with: 502 where it refused the
                connection, 504 where it did not answer in time.

        Raises:
            RefusedError: 503, no target is registered; else none is left, and the status is the
                highest of `failed`: a target that timed out may still live and be overloaded, so
                that one time-out is told rather than any number of refusals.
        """
        if not self.targets:
            raise RefusedError(503)
        candidates = [
            target for target in self.targets if target.state is TargetState.HEALTHY
        ] or self.targets
        if failed:
            candidates = [target for target in candidates if target not in failed]
            if not candidates:
                raise RefusedError(max(failed.values()))
        self._turn += 1
        first = self._turn % len(candidates)
        if self._algorithm == "round_robin":
            return candidates[first]
        # Among equals the turn decides, so that an idle group is used evenly.
        in_turn = candidates[first:] + candidates[:first]
        return min(in_turn, key=lambda target: target.outstanding)
