"""A server of key sets over real HTTP that can be told to misbehave."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KeyServer:
    """Publishes `jwks` at `url`, holding answers back while `gate` is closed.

    Attributes:
        behaviour: Answers instead, if set.
        fetches: How many requests came to `url`.
        other_fetches: How many came to `other_url`, where nobody has any business.
        arrived: Set once a request is there.
    """

    def __init__(self, jwks: dict[str, Any]) -> None:
        self.jwks = jwks
        self.behaviour: Behaviour | None = None
        self.fetches = 0
        self.other_fetches = 0
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""
        self.other_url = ""
        self.app = web.Application()
        self.app.router.add_get("/keys", self._keys)
        self.app.router.add_get("/other", self._other)

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        """From now on answer with this; a header's name has underscores for its hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def behaviour(_request: web.Request) -> web.Response:
            return web.Response(body=body, status=status, headers=named)

        self.behaviour = behaviour

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        self.fetches += 1
        self.arrived.set()
        if self.behaviour is not None:
            return await self.behaviour(request)
        await self.gate.wait()
        return web.json_response(self.jwks)

    async def _other(self, _request: web.Request) -> web.Response:
        self.other_fetches += 1
        return web.json_response(self.jwks)
