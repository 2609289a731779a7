"""The appointments and files services as users meets them: servers that do as a test says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

ERASE_APPOINTMENTS = "POST /v1/appointments/erasures/{patient_id}"
ERASE_FILES = "POST /v1/files/erasures/{appointment_id}"
LIST_IDS = "GET /v1/appointments/erasures/{patient_id}"


@dataclass
class FakeNeighbours:
    """Both services at one address, in pages of two.

    Attributes:
        appointments: ids by patient; a history and files are made up for each.
        remaining: how often an erasing call says that there is more, by what it is about.
        away: routes that answer 503 as a load balancer does.
        hooks: routes that await this, told whom it is about, before they answer.
        answers: routes that answer this document.
        asked: route and subject of each call, in order.
        tokens: the bearer token of each call.
    """

    appointments: dict[str, list[str]] = field(default_factory=dict)
    remaining: dict[str, int] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    hooks: dict[str, Callable[[str], Awaitable[None]]] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    patient: str = ""
    reason: str = "checkup"

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/appointments/erasures/{patient_id}", self._ids)
        app.router.add_post("/v1/appointments/erasures/{patient_id}", self._erase)
        app.router.add_post("/v1/files/erasures/{appointment_id}", self._erase)
        app.router.add_get("/v1/appointments", self._own)
        app.router.add_get("/v1/waitlist", self._waiting)
        app.router.add_get("/v1/appointments/{id}/history", self._history)
        app.router.add_get("/v1/files", self._files)
        return app

    def subjects(self, route: str) -> list[str]:
        """Whom the calls of a route were about, in order."""
        return [subject for asked, subject in self.asked if asked == route]

    async def _enter(self, request: web.Request) -> web.Response | None:
        """Notes the call; the answer if it is none of the usual ones."""
        resource = request.match_info.route.resource
        assert resource is not None
        route = f"{request.method} {resource.canonical}"
        subject = next(iter(request.match_info.values()), "")
        self.asked.append((route, subject))
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        if route in self.hooks:
            await self.hooks[route](subject)
        if route in self.away:
            return web.Response(status=503, text="no target")
        if route in self.answers:
            return web.json_response(self.answers[route])
        return None

    async def _erase(self, request: web.Request) -> web.Response:
        unusual = await self._enter(request)
        if unusual is not None:
            return unusual
        subject = next(iter(request.match_info.values()))
        left = self.remaining.get(subject, 0)
        self.remaining[subject] = max(left - 1, 0)
        return web.json_response({"remaining": left > 0})

    async def _ids(self, request: web.Request) -> web.Response:
        unusual = await self._enter(request)
        ids = self.appointments.get(request.match_info["patient_id"], [])
        return unusual or _page(request, ids)

    async def _own(self, request: web.Request) -> web.Response:
        unusual = await self._enter(request)
        ids = self.appointments.get(self.patient, [])
        return unusual or _page(request, [{"id": one, "reason": self.reason} for one in ids])

    async def _waiting(self, request: web.Request) -> web.Response:
        unusual = await self._enter(request)
        return unusual or _page(request, [{"id": f"w{n}"} for n in range(3)])

    async def _history(self, request: web.Request) -> web.Response:
        unusual = await self._enter(request)
        return unusual or _page(request, [{"note": f"of {request.match_info['id']}"}])

    async def _files(self, request: web.Request) -> web.Response:
        unusual = await self._enter(request)
        of = request.query["appointment_id"]
        return unusual or _page(request, [{"id": f"{of}-file-{n}"} for n in range(3)])


def _page(request: web.Request, items: list[Any]) -> web.Response:
    start = int(request.query.get("cursor", "0"))
    page, more = items[start : start + 2], len(items) > start + 2
    return web.json_response({"items": page, "next_cursor": str(start + 2) if more else None})
