"""Calendar feeds."""

import hashlib

from aiohttp import web

from appointments_service import schemas
from appointments_service.handlers.common import CALENDARS, actor_of
from servicekit.audit import audit_read_by
from servicekit.operations import Call, answer, no_content
from servicekit.wire import NoQuery, Nothing

# Programs come by themselves, and some of them often.
_CACHED = {"Cache-Control": "private, max-age=300"}


async def open_calendar(call: Call[Nothing, NoQuery]) -> web.Response:
    """A new address for the caller's own calendar."""
    secret = await call.request.app[CALENDARS].open(actor_of(call.caller))
    url = f"{_origin(call.request)}/v1/calendars/{secret}.ics"
    return answer(schemas.Calendar(url=url), status=201, headers={"Cache-Control": "no-store"})


async def close_calendar(call: Call[Nothing, NoQuery]) -> web.Response:
    """Ends the address of the caller's own calendar."""
    await call.request.app[CALENDARS].close(actor_of(call.caller))
    return no_content()


async def get_calendar(call: Call[Nothing, NoQuery]) -> web.Response:
    """A calendar, by its secret."""
    read = await call.request.app[CALENDARS].read(call.path["secret"])
    tag = hashlib.sha256(read.text).hexdigest()[:32]
    headers = {**_CACHED, "ETag": f'"{tag}"'}
    known = call.request.if_none_match or ()
    if any(one.value in (tag, "*") for one in known):
        return web.Response(status=304, headers=headers)
    audit_read_by(call, read.feed.owner_id, read.feed.role, read.patient_ids)
    return web.Response(
        body=read.text, headers=headers, content_type="text/calendar", charset="utf-8"
    )


def _origin(request: web.Request) -> str:
    """Scheme and host as the caller has them: the load balancer passes both on.

    A caller who sends another host's name is told that name, and nobody else is.
    """
    forwarded = request.headers.get("X-Forwarded-Proto", "")
    scheme = forwarded if forwarded in ("http", "https") else request.scheme
    return f"{scheme}://{request.host}"
