"""What every instance answers about itself on its own port; a load balancer never routes to it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from servicekit.bodies import json_bytes
from servicekit.metrics import Metrics

Check = Callable[[], Awaitable[None]]

CHECK_SECONDS = 3.0


@dataclass(slots=True)
class Health:
    """Whether this instance takes traffic, and what it depends on.

    `checks` maps a dependency's name to a coroutine that raises if it is away.
    """

    service: str
    version: str
    draining: bool = False
    checks: dict[str, Check] = field(default_factory=dict)


HEALTH = web.AppKey("health", Health)
METRICS = web.AppKey("metrics", Metrics)


def _json(document: Mapping[str, object], status: int) -> web.Response:
    return web.Response(body=json_bytes(document), status=status, content_type="application/json")


async def get_health(request: web.Request) -> web.Response:
    """200 while traffic is taken, 503 from SIGTERM on. Looks at nothing outside of the process.

    If it did, a store that blinks would get the whole fleet replaced.
    """
    health = request.app[HEALTH]
    if health.draining:
        return _json({"status": "draining"}, 503)
    return _json({"status": "ok", "service": health.service, "version": health.version}, 200)


async def get_dependencies(request: web.Request) -> web.Response:
    """A row a dependency; 503 if any is away."""
    health = request.app[HEALTH]
    states = await asyncio.gather(*map(_state, health.checks.values()))
    rows = [{"name": n, **state} for n, state in zip(health.checks, states, strict=True)]
    ok = all(row["status"] == "ok" for row in rows)
    document = {"status": "ok" if ok else "unavailable", "dependencies": rows}
    return _json(document, 200 if ok else 503)


async def _state(check: Check) -> dict[str, str]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:
        return {"status": "unavailable", "error": type(error).__name__}
    return {"status": "ok"}


async def get_metrics(request: web.Request) -> web.Response:
    """Prometheus' text format."""
    return web.Response(
        body=request.app[METRICS].expose(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


INSTANCE_ROUTES: Mapping[str, Callable[[web.Request], Awaitable[web.Response]]] = {
    "/health": get_health,
    "/health/dependencies": get_dependencies,
    "/metrics": get_metrics,
}
