"""Where the caller is signed in."""

from aiohttp import web

from servicekit.operations import Call, answer, no_content
from servicekit.paging import Paged
from servicekit.wire import NoQuery, Nothing
from users_service import schemas
from users_service.handlers.common import after_of, origin_of, page_of, use_cases


async def list_sessions(call: Call[Nothing, Paged]) -> web.Response:
    """GET /v1/auth/sessions."""
    caller, limit = call.caller, call.query.limit
    name = f"sessions:{caller.id}"
    after = after_of(name, call.query.cursor)
    found = await use_cases(call).sessions.list(caller.id, after, limit + 1)
    page, cursor = page_of(name, list(found), limit)
    items = [
        schemas.Session(
            id=session.id,
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            client=session.client,
            current=session.id == caller.session,
        )
        for session in page
    ]
    return answer(schemas.SessionPage(items=items, next_cursor=cursor))


async def end_session(call: Call[Nothing, NoQuery]) -> web.Response:
    """DELETE /v1/auth/sessions/{id}."""
    await use_cases(call).sessions.end(call.caller.id, call.path["id"], origin_of(call))
    return no_content()
