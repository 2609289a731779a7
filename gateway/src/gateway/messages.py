"""Heads read from connections."""

from gateway.connections import BadHeadError, Connection, HeadTooLargeError, read_head
from gateway.errors import BadResponseError, RefusedError
from gateway.heads import (
    MAX_LINE,
    MAX_REQUEST_HEAD,
    MAX_RESPONSE_HEAD,
    RequestHead,
    ResponseHead,
    parse_request,
    parse_response,
)


async def read_request(client: Connection) -> RequestHead:
    """Read a request's head.

    Raises:
        RefusedError: what came can't be passed on.
        Exception: whatever the connection failed with.
    """
    try:
        return parse_request(await read_head(client, MAX_REQUEST_HEAD))
    except HeadTooLargeError as error:
        long_line = client.buffer.find(b"\r\n", 0, MAX_LINE + 2) < 0
        raise RefusedError(414 if long_line else 400) from error
    except BadHeadError as error:
        raise RefusedError(400) from error


async def read_response(target: Connection) -> ResponseHead:
    """Read a response's head, an interim one (1xx) included.

    Raises:
        BadResponseError: what came is not one.
        Exception: whatever the connection failed with.
    """
    try:
        return parse_response(await read_head(target, MAX_RESPONSE_HEAD, b"HTTP/1."))
    except (BadHeadError, HeadTooLargeError) as error:
        raise BadResponseError("not the head of an answer") from error
