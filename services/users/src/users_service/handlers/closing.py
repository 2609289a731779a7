"""Closing one's own account, and taking along what is stored of one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import structlog
from aiohttp import web

from servicekit.context import REQUEST_ID_HEADER, TRACE
from servicekit.operations import Call, no_content
from servicekit.problems import DEADLINE_EXCEEDED, unavailable
from servicekit.wire import NoQuery, Nothing
from users_service.errors import UsersError
from users_service.handlers.common import ACCOUNT, origin_of, use_cases
from users_service.service.exports import Exports

log = structlog.get_logger()

EXPORTS = web.AppKey("exports", Exports)

EXPORT_SECONDS: Final = 120.0
_HELD_BYTES: Final = 256 * 1024
_HEADERS: Final = {
    "Content-Disposition": 'attachment; filename="export.json"',
}


async def close_own_account(call: Call[Nothing, NoQuery]) -> web.Response:
    """DELETE /v1/users/me."""
    await use_cases(call).closing.close(call.caller.id, call.if_match, origin_of(call))
    return no_content()


async def export_own_data(call: Call[Nothing, NoQuery]) -> web.StreamResponse:
    """GET /v1/users/me/export.

    What fits into a quarter of a MiB is whole before its first byte is sent, so a failure is an
    answer of its own. More is sent as it comes; should it fail then, the connection is cut off,
    for what arrived must not look like all there is.
    """
    exports = call.request.app[EXPORTS]
    pieces = exports.document(call.request[ACCOUNT], call.caller.token)
    try:
        async with asyncio.timeout(EXPORT_SECONDS):
            held = bytearray()
            async for piece in pieces:
                held += piece
                if len(held) > _HELD_BYTES:
                    return await _stream(call.request, bytes(held), pieces)
    except TimeoutError as error:
        raise unavailable(DEADLINE_EXCEEDED, "try again shortly") from error
    return web.Response(
        body=bytes(held), headers=_HEADERS, content_type="application/json", charset="utf-8"
    )


async def _stream(
    request: web.Request, held: bytes, pieces: AsyncIterator[bytes]
) -> web.StreamResponse:
    # Whoever comes later to name the request's id finds the headers sent.
    headers = {**_HEADERS, REQUEST_ID_HEADER: request[TRACE].request_id}
    response = web.StreamResponse(headers=headers)
    response.content_type, response.charset = "application/json", "utf-8"
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    try:
        await response.write(held)
        async for piece in pieces:
            await response.write(piece)
    except (UsersError, TimeoutError, asyncio.CancelledError) as error:
        if request.transport is not None:
            request.transport.abort()
        log.warning("an export broke off", exc_info=error)
        if isinstance(error, asyncio.CancelledError):
            raise
    return response
