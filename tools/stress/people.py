"""A users service that knows everybody, and the keys that everybody's tokens are signed with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from servicekit.testing import TokenMint


@asynccontextmanager
async def users_service(mint: TokenMint) -> AsyncIterator[str]:
    """Runs it until the context ends, and yields its address."""

    async def doctor(request: web.Request) -> web.Response:
        found = {"id": request.match_info["id"], "full_name": "Dr. Stress"}
        lease = {"Cache-Control": "private, max-age=1"}  # as users gives it
        return web.json_response({**found, "accepting_patients": True}, headers=lease)

    async def patient(request: web.Request) -> web.Response:
        found = {"id": request.match_info["id"], "full_name": "Pat", "role": "patient"}
        return web.json_response({**found, "status": "active"})

    async def token(_request: web.Request) -> web.Response:
        # Good for a run: the clinic's clock goes so fast that a common one would be over at once.
        return web.json_response({"access_token": "service", "expires_in": 365 * 86_400})

    async def jwks(_request: web.Request) -> web.Response:
        return web.json_response(mint.jwks)

    app = web.Application()
    app.router.add_get("/v1/doctors/{id}", doctor)
    app.router.add_get("/v1/users/{id}/name", patient)
    app.router.add_post("/v1/auth/service-token", token)
    app.router.add_get("/.well-known/jwks.json", jwks)
    async with served(app) as url:
        yield url


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """Serves an application on a free port of 127.0.0.1, and yields its address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
