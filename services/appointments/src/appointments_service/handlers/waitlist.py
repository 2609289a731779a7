"""The waiting list: joined, looked at, left, and what it offers accepted."""

from aiohttp import web

from appointments_service import schemas
from appointments_service.domain.waitlist import Entry
from appointments_service.handlers.common import (
    WAITLIST,
    actor_of,
    done_answer,
    idempotency_of,
    keyed,
    position_of,
    replayed,
)
from servicekit.operations import Call, answer, etag, no_content
from servicekit.paging import Paged, decode_cursor, encode_cursor
from servicekit.wire import NoQuery, Nothing


def _render(made: tuple[Entry, ...]) -> bytes:
    return schemas.Waitlist.of(made[0]).model_dump_json(by_alias=True).encode()


async def join(call: Call[schemas.NewWaitlist, NoQuery]) -> web.Response:
    """Begins to wait."""
    body = call.body
    done = await call.request.app[WAITLIST].join(
        actor_of(call.caller),
        doctor_id=body.doctor_id,
        first=body.from_,
        last=body.to,
        idempotency=keyed(call, 201, _render),
    )
    if done.answered is not None:
        return replayed(done.answered)
    [entry] = done.made
    return answer(schemas.Waitlist.of(entry), status=201, headers=etag(entry.version))


async def list_entries(call: Call[Nothing, Paged]) -> web.Response:
    """What one waits for, and what one waited for."""
    limit, name = call.query.limit, f"waitlist:{call.caller.id}"
    position = position_of(decode_cursor(name, call.query.cursor), 1)
    after = position[0] if position is not None else ""
    found = await call.request.app[WAITLIST].entries(actor_of(call.caller), after, limit + 1)
    page, more = found[:limit], len(found) > limit
    return answer(
        schemas.Waitlists(
            items=[schemas.Waitlist.of(entry) for entry in page],
            next_cursor=encode_cursor(name, [page[-1].key]) if more else None,
        )
    )


async def leave(call: Call[Nothing, NoQuery]) -> web.Response:
    """Waits no more."""
    await call.request.app[WAITLIST].leave(actor_of(call.caller), call.path["id"], call.if_match)
    return no_content()


async def accept(call: Call[Nothing, NoQuery]) -> web.Response:
    """Books what is offered."""
    done = await call.request.app[WAITLIST].accept(
        actor_of(call.caller), call.path["id"], call.if_match, idempotency_of(call, 201)
    )
    return done_answer(done, 201)
