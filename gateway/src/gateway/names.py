"""Names that stand for several targets: every address of a name is a target of its own.

Containers of one service share its name and come and go, as the instances of an auto scaling group
do, which registers and deregisters each of them by itself.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import structlog

from gateway.targets import Address

log = structlog.get_logger()

SCHEME: Final = "dns+"
RESOLVE_SECONDS: Final = 1.0
# A resolver's own patience is about that of two of its servers, with two attempts each.
ANSWER_SECONDS: Final = 20.0

Resolve = Callable[[str, int], Coroutine[Any, Any, list[str]]]


def is_name(entry: str) -> bool:
    """Whether an entry of the targets file, `dns+http://host:port`, has to be resolved."""
    return entry.startswith(SCHEME)


def address_of(entry: str) -> Address:
    """Read `http://host:port` or `dns+http://host:port`.

    Raises:
        ValueError: it is anything else.
    """
    return Address.parse(entry.removeprefix(SCHEME))


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a name, in an order that is always the same.

    Raises:
        OSError: there is no answer.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            return []  # an answer too: nothing has that name
        raise
    return sorted({str(address[0]) for *_, address in found})


class Names:
    """Resolves names again and again, each in a task of its own, so that none waits for another."""

    def __init__(
        self,
        changed: Callable[[], None],
        *,
        interval: float = RESOLVE_SECONDS,
        resolve: Resolve = resolve,
    ) -> None:
        """Call `changed` whenever a name has other addresses than before."""
        self._changed = changed
        self._interval = interval
        self._resolve = resolve
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._urls: dict[str, list[str]] = {}

    def follow(self, entries: Iterable[str]) -> None:
        """Resolve these from now on, and no others."""
        names = {entry for entry in entries if is_name(entry)}
        for entry in self._tasks.keys() - names:
            self._tasks.pop(entry).cancel()
            self._urls.pop(entry, None)
        for entry in sorted(names - self._tasks.keys()):
            self._tasks[entry] = asyncio.create_task(self._keep_resolving(entry))

    def urls(self, entry: str) -> list[str]:
        """The targets that an entry stands for; none as long as its name was never resolved."""
        return self._urls.get(entry, []) if is_name(entry) else [entry]

    async def close(self) -> None:
        """Resolve nothing any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_resolving(self, entry: str) -> None:
        """Keep the last answer where there is none: a resolver that blinks deregisters nobody."""
        address = address_of(entry)
        reported: str | None = None
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    hosts = await self._resolve(address.host, address.port)
            except OSError as error:  # a TimeoutError is one
                reason = error.strerror or str(error) or f"no answer within {ANSWER_SECONDS:g} s"
                if reason != reported:
                    reported = reason
                    log.warning("name_not_resolved", name=entry, reason=reason)
            else:
                reported = None
                urls = [f"http://{Address(host, address.port).netloc}" for host in hosts]
                if urls != self._urls.get(entry, []):
                    self._urls[entry] = urls
                    self._changed()
            await asyncio.sleep(self._interval)
