"""Errors on the wire: problem documents (RFC 9457) with a stable `code` to program against.

A service's domain errors carry no HTTP status. Its routes map each of them to a `Problem`;
what HTTP itself can go wrong with is listed here, once for all services.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of refusal: its HTTP status, its code, and a title that never varies.

    `headers` go with every answer of the kind.
    """

    status: int
    code: str
    title: str
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def type(self) -> str:
        """The problem's `type`: a URN, since a code is a name and not a page."""
        return f"urn:problem:{self.code}"


class ProblemError(Exception):
    """Raised where a request must end with a problem document.

    Args:
        problem: which kind.
        detail: a sentence about this one occurrence; it may quote nothing secret.
        headers: extra response headers, such as `Retry-After`.
        members: extra members of the document, such as `errors`.
    """

    def __init__(
        self,
        problem: Problem,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(problem.code, detail)
        self.problem = problem
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = dict(members or {})


MALFORMED_JSON = Problem(400, "malformed_json", "The body is not valid JSON in UTF-8")
BAD_HEADER = Problem(400, "bad_header", "A header is malformed")
BAD_REQUEST = Problem(400, "bad_request", "The request is malformed")
INVALID_TOKEN = Problem(
    401,
    "invalid_token",
    "No valid access token was given",
    {"WWW-Authenticate": 'Bearer error="invalid_token"'},  # RFC 6750, 3
)
FORBIDDEN = Problem(403, "forbidden", "The caller may not do this")
NOT_FOUND = Problem(404, "not_found", "There is no such thing")
METHOD_NOT_ALLOWED = Problem(405, "method_not_allowed", "The method is not allowed here")
BODY_TIMEOUT = Problem(408, "body_timeout", "The body did not arrive in time")
VERSION_MISMATCH = Problem(412, "version_mismatch", "The thing has changed since it was read")
BODY_TOO_LARGE = Problem(413, "body_too_large", "The body is larger than this operation takes")
UNSUPPORTED_MEDIA_TYPE = Problem(415, "unsupported_media_type", "The body must be JSON")
VALIDATION_FAILED = Problem(422, "validation_failed", "The request is understood, not acceptable")
BAD_CURSOR = Problem(422, "bad_cursor", "The cursor was not given out for this list")
INTERNAL_ERROR = Problem(500, "internal_error", "The service failed")
STORE_UNAVAILABLE = Problem(503, "store_unavailable", "A store that this needs is away")
KEYS_UNAVAILABLE = Problem(503, "keys_unavailable", "The token's keys can't be had just now")
DEADLINE_EXCEEDED = Problem(503, "deadline_exceeded", "The answer could not be given in time")

_BY_HTTP_STATUS = {
    400: BAD_REQUEST,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: BODY_TOO_LARGE,
    415: UNSUPPORTED_MEDIA_TYPE,
}


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """The members of one problem document."""

    problem: Problem
    request_id: str
    instance: str
    detail: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The document as JSON."""
        document: dict[str, Any] = {
            "type": self.problem.type,
            "title": self.problem.title,
            "status": self.problem.status,
            "detail": self.detail or self.problem.title,
            "instance": self.instance,
            "code": self.problem.code,
            "request_id": self.request_id,
            **self.members,
        }
        return json.dumps(document).encode()


def unavailable(problem: Problem, detail: str = "", *, retry_after: int = 1) -> ProblemError:
    """A 503 that says when to come again, in seconds."""
    return ProblemError(problem, detail, headers={"Retry-After": str(retry_after)})


def validation_failed(errors: Sequence[Mapping[str, Any]]) -> ProblemError:
    """A 422 that lists what is wrong, each with `loc`, `msg` and `type`."""
    detail = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors[:3])
    return ProblemError(VALIDATION_FAILED, detail, members={"errors": list(errors)})


def of_http_exception(error: web.HTTPException) -> ProblemError:
    """aiohttp's own refusals as problems, keeping headers such as `Allow`."""
    known = _BY_HTTP_STATUS.get(error.status)
    if known is None:
        phrase = HTTPStatus(error.status).phrase
        known = Problem(error.status, phrase.lower().replace(" ", "_"), phrase)
    kept = {name: value for name, value in error.headers.items() if name.lower() == "allow"}
    return ProblemError(known, headers=kept)
