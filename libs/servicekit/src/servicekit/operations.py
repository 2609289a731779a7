"""An operation, written once: method, path, who may, models, problems.

The router, the validation, the access rule, the OpenAPI document and the metrics' labels all come
from the same line of a service's `routes.py`. An operation without an access rule can't be made.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel

from servicekit.auth import Access, Caller
from servicekit.bodies import DEFAULT_LIMIT, check_json_type, parse_json, parse_query, read_body
from servicekit.problems import BAD_HEADER, INVALID_TOKEN, NOT_FOUND, ProblemError
from servicekit.wire import NoQuery, Nothing, is_id

B = TypeVar("B", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)

_visible_ascii = re.compile(r"[\x21-\x7e]{1,255}\Z").match
_etags = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e]*"\s*)*\Z').match
_strong_version = re.compile(r'(?<!W/)"(\d{1,18})"')


@dataclass(frozen=True, slots=True)
class Call(Generic[B, Q]):
    """One request for an operation, already parsed, checked and let in."""

    request: web.Request
    path: Mapping[str, str]
    query: Q
    body: B
    raw_body: bytes
    caller_or_none: Caller | None

    @property
    def caller(self) -> Caller:
        """Who calls. Only for operations that take a token."""
        if self.caller_or_none is None:
            raise ProblemError(INVALID_TOKEN)
        return self.caller_or_none

    @property
    def if_match(self) -> frozenset[int] | None:
        """The versions that `If-Match` admits (RFC 9110, 13.1.1); None for any.

        Weak tags never match. Raises ProblemError (400) for a malformed header.
        """
        headers = self.request.headers.getall("If-Match", None)
        if headers is None:
            return None
        given = ", ".join(headers)
        if given.strip() == "*":
            return None
        if not _etags(given):
            raise ProblemError(BAD_HEADER, "If-Match is not a list of entity tags")
        return frozenset(int(version) for version in _strong_version.findall(given))

    @property
    def idempotency_key(self) -> str | None:
        """The `Idempotency-Key` header. Raises ProblemError (400) for a malformed one."""
        given = self.request.headers.getall("Idempotency-Key", ())
        if not given:
            return None
        if len(given) > 1 or not _visible_ascii(given[0]):
            raise ProblemError(BAD_HEADER, "Idempotency-Key is 1 to 255 visible ASCII characters")
        return given[0]


# The defaults of a generic field: an operation that names no model has none.
_NOTHING: Any = Nothing
_NO_QUERY: Any = NoQuery

# The handler's own parameter types are narrower than what a table of operations can say.
Handler = Callable[[Call[B, Q]], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[B, Q]):
    """One endpoint.

    Attributes:
        answers: status → model of the body; None for an answer without one.
        problems: the domain errors that it may end with; `build_app` is given their statuses.
        body_limit: bytes; a larger body is refused with 413.
        deadline: seconds until the request is given up with 503; None where it streams.
        raw: the handler reads the body itself, `body` is only for the document.
    """

    method: str
    path: str
    handler: Handler[B, Q]
    access: Access
    summary: str
    answers: Mapping[int, type[BaseModel] | None]
    body: type[B] = _NOTHING
    query: type[Q] = _NO_QUERY
    problems: tuple[type[Exception], ...] = ()
    versioned: bool = False
    idempotent: bool = False
    body_limit: int = DEFAULT_LIMIT
    deadline: float | None = 30.0
    raw: bool = False
    description: str = ""
    media_types: Mapping[int, str] = field(default_factory=dict)

    @property
    def takes_body(self) -> bool:
        """Whether the operation has a body at all."""
        return self.body is not Nothing

    @property
    def body_may_be_empty(self) -> bool:
        """Whether no body means `{}`: where no field of it is required."""
        return not any(info.is_required() for info in self.body.model_fields.values())

    async def __call__(self, request: web.Request, caller: Caller | None) -> web.StreamResponse:
        """Parses the request and hands it to the handler. Raises ProblemError."""
        for name, value in request.match_info.items():
            if not name.endswith(("date", "secret")) and not is_id(value):
                raise ProblemError(NOT_FOUND)
        query = parse_query(self.query, request.query)
        raw, body = await self._read(request)
        return await self.handler(Call(request, request.match_info, query, body, raw, caller))

    async def _read(self, request: web.Request) -> tuple[bytes, B]:
        if self.raw or self.method in ("GET", "DELETE"):
            return b"", self.body.model_construct()
        raw = await read_body(request, limit=self.body_limit)
        if not raw and self.body_may_be_empty:
            return raw, self.body()
        check_json_type(request)
        return raw, parse_json(self.body, raw)


AnyOperation = Operation[Any, Any]


def etag(version: int) -> dict[str, str]:
    """The `ETag` header of a thing in this version."""
    return {"ETag": f'"{version}"'}


def answer(
    model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A model as the JSON body of an answer."""
    return web.Response(
        body=model.__pydantic_serializer__.to_json(model, by_alias=True),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )


def no_content() -> web.Response:
    """204."""
    return web.Response(status=204)
