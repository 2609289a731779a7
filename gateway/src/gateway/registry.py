"""The target groups, kept as the targets file says."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.health import check
from gateway.names import RESOLVE_SECONDS, Names, Resolve, address_of, resolve
from gateway.targets import Address, Algorithm, Target, TargetGroup, TargetState, Thresholds

log = structlog.get_logger()

WATCH_SECONDS: Final = 0.2

Checker = Callable[[Address, float], Coroutine[Any, Any, str | None]]


class BadTargetsFileError(ValueError):
    """The targets file can't be read, or does not say what it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """How targets are checked, used and drained; seconds throughout."""

    algorithm: Algorithm = "round_robin"
    thresholds: Thresholds = field(default_factory=Thresholds)
    interval: float = 30.0
    timeout: float = 5.0
    idle_timeout: float = 60.0
    connect_timeout: float = 10.0
    deregistration_delay: float = 300.0
    resolve_interval: float = RESOLVE_SECONDS


def parse_targets(text: bytes, services: Iterable[str]) -> dict[str, list[str]]:
    """Read `{"users": ["http://127.0.0.1:4001", …], …}`; a service left out has no targets.

    An entry `dns+http://users:8080` stands for every address of the name.

    Raises:
        BadTargetsFileError: it says something else.
    """
    known = set(services)
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BadTargetsFileError(f"not JSON: {error}") from error
    if not isinstance(document, dict) or not set(document) <= known:
        raise BadTargetsFileError(f"expected an object with the keys {sorted(known)}")
    for urls in document.values():
        if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
            raise BadTargetsFileError("expected a list of URLs for every service")
        for url in urls:
            try:
                address_of(url)
            except ValueError as error:
                raise BadTargetsFileError(str(error)) from error
    return {service: list(dict.fromkeys(document.get(service, ()))) for service in known}


class TargetRegistry:
    """Registers and deregisters targets, and checks the health of each."""

    def __init__(
        self,
        services: Iterable[str],
        options: TargetOptions,
        *,
        checker: Checker = check,
        resolve: Resolve = resolve,
    ) -> None:
        """Begin with a group without targets for every service."""
        self.groups = {service: TargetGroup(service, options.algorithm) for service in services}
        self._options = options
        self._check = checker
        self._checks: dict[Target, asyncio.Task[None]] = {}
        self._drains: set[asyncio.Task[None]] = set()
        self._seen: bytes | None = None
        self._wanted: dict[str, list[str]] = {}
        self._names = Names(self._renew, interval=options.resolve_interval, resolve=resolve)

    def apply(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Register what is new, checking it at once, and drain what is gone."""
        self._wanted = {service: list(entries) for service, entries in wanted.items()}
        self._names.follow(entry for entries in self._wanted.values() for entry in entries)
        self._renew()

    def _renew(self) -> None:
        for service, group in self.groups.items():
            entries = self._wanted.get(service, [])
            # Two names may share an address, and a name may have one that is listed itself.
            urls = list(dict.fromkeys(url for entry in entries for url in self._names.urls(entry)))
            for target in [target for target in group.targets if target.url not in urls]:
                self._deregister(group, target)
            registered = {target.url for target in group.targets}
            for url in urls:
                if url not in registered:
                    self._register(group, url)

    def load(self, path: Path) -> bool:
        """Apply the targets file if it has changed; returns whether it has.

        Raises:
            BadTargetsFileError: it can't be read or used; the targets stay as they are.
        """
        try:
            text = path.read_bytes()
        except OSError as error:
            raise BadTargetsFileError(f"{path}: {error.strerror}") from error
        if text == self._seen:
            return False
        wanted = parse_targets(text, self.groups)
        self._seen = text
        self.apply(wanted)
        return True

    async def watch(self, path: Path) -> None:
        """Apply the targets file whenever it changes, for ever.

        It is small and read as a whole each time: two writes within one tick of the file system's
        clock can't be told apart by its time. A file that can't be used is reported once, and the
        targets stay as they are.
        """
        reported: str | None = None
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                self.load(path)
                reported = None
            except BadTargetsFileError as error:
                if str(error) != reported:
                    reported = str(error)
                    log.error("targets_file_refused", path=str(path), reason=reported)

    def describe(self) -> list[dict[str, object]]:
        """A row a target: service, url, state, outstanding requests."""
        return [
            {
                "service": group.service,
                "url": target.url,
                "state": str(target.state),
                "outstanding": target.outstanding,
            }
            for group in self.groups.values()
            for target in [*group.targets, *group.draining]
        ]

    async def close(self) -> None:
        """End all checks and waits, and close idle connections."""
        await self._names.close()
        tasks = [*self._checks.values(), *self._drains]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for group in self.groups.values():
            for target in group.targets:
                target.close()

    def _register(self, group: TargetGroup, url: str) -> None:
        target = Target(
            url,
            thresholds=self._options.thresholds,
            idle_seconds=self._options.idle_timeout,
            connect_seconds=self._options.connect_timeout,
        )
        group.targets.append(target)
        self._checks[target] = asyncio.create_task(self._keep_checking(group, target))
        log.info("target_registered", target_service=group.service, url=url)

    def _deregister(self, group: TargetGroup, target: Target) -> None:
        group.targets.remove(target)
        group.draining.append(target)
        target.state = TargetState.DRAINING
        self._checks.pop(target).cancel()
        drain = asyncio.create_task(self._drain(group, target))
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)
        log.info("target_draining", target_service=group.service, url=target.url)

    async def _drain(self, group: TargetGroup, target: Target) -> None:
        await target.drain(self._options.deregistration_delay)
        group.draining.remove(target)
        log.info("target_deregistered", target_service=group.service, url=target.url)

    async def _keep_checking(self, group: TargetGroup, target: Target) -> None:
        while True:
            reason = await self._check(target.address, self._options.timeout)
            if target.record(passed=reason is None):
                log.info(
                    "target_state",
                    target_service=group.service,
                    url=target.url,
                    state=str(target.state),
                    reason=reason,
                )
            await asyncio.sleep(self._options.interval)
