"""Reading what a caller sends, within bounds of size, time and shape."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from servicekit.problems import (
    BAD_REQUEST,
    BODY_TIMEOUT,
    BODY_TOO_LARGE,
    MALFORMED_JSON,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
    validation_failed,
)

M = TypeVar("M", bound=BaseModel)

DEFAULT_LIMIT = 64 * 1024
READ_SECONDS = 20.0

_BROKEN_BODY = (
    web.RequestPayloadError,
    web.PayloadAccessError,
    HttpProcessingError,
    ConnectionError,
)


async def read_body(request: web.Request, *, limit: int = DEFAULT_LIMIT) -> bytes:
    """The whole body, at most `limit` bytes, arrived within `READ_SECONDS`.

    aiohttp never times out a body that trickles in, so the deadline is ours.

    Raises:
        ProblemError: 413 for a larger body, 408 for a slower one, 400 for a broken one.
    """
    if not request.body_exists:
        return b""
    declared = request.content_length
    if declared is not None and declared > limit:
        raise ProblemError(BODY_TOO_LARGE, f"at most {limit} bytes")
    try:
        async with asyncio.timeout(READ_SECONDS):
            # Small bodies have nearly always arrived whole with the headers.
            body = await request.content.readany()
            while not request.content.at_eof():
                if len(body) > limit:
                    break
                body += await request.content.readany()
    except TimeoutError as error:
        raise ProblemError(BODY_TIMEOUT) from error
    except _BROKEN_BODY as error:
        raise ProblemError(BAD_REQUEST, "the body broke off or could not be decoded") from error
    if len(body) > limit:
        raise ProblemError(BODY_TOO_LARGE, f"at most {limit} bytes")
    return body


def check_json_type(request: web.Request) -> None:
    """Refuses (415) a body that doesn't say it is JSON."""
    media_type = request.content_type.lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, "send application/json")
    charset = request.charset
    if charset is not None and charset.lower() not in ("utf-8", "utf8"):
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, "send UTF-8")


def parse_json(model: type[M], body: bytes) -> M:
    """A JSON body as a model, strictly: `"5"` is no number and `1` is no boolean.

    Raises:
        ProblemError: 400 if it is not JSON in UTF-8, 422 with `errors` if it doesn't fit.
    """
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        if any(item["type"] == "json_invalid" for item in error.errors(include_url=False)):
            raise ProblemError(MALFORMED_JSON) from None
        raise validation_failed(_errors("body", error)) from None


def parse_query(model: type[M], query: Mapping[str, str]) -> M:
    """A query string's parameters as a model. Raises ProblemError (422)."""
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise validation_failed(_errors("query", error)) from None


def _errors(place: str, error: ValidationError) -> list[dict[str, Any]]:
    """pydantic's list in the contract's form; the input is left out, as it may be secret."""
    listed = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"loc": [place, *map(_printable, item["loc"])], "msg": item["msg"], "type": item["type"]}
        for item in listed[:50]
    ]


def _printable(part: int | str) -> int | str:
    return part if isinstance(part, int) else part[:100]


def json_bytes(value: object) -> bytes:
    """Plain data as compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
