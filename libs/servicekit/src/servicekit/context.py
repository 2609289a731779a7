"""What belongs to the request being served, for the log and for calls to other services."""

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import web

from servicekit.auth import Caller

REQUEST_ID_HEADER = "X-Request-Id"
TRACEPARENT_HEADER = "traceparent"
AMZN_TRACE_HEADER = "X-Amzn-Trace-Id"

_visible_ascii = re.compile(r"[\x21-\x7e]{1,128}\Z").match
_traceparent = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z").match


@dataclass(frozen=True, slots=True)
class Trace:
    """The names under which a request can be followed through all services."""

    request_id: str
    traceparent: str
    amzn_trace_id: str

    @property
    def trace_id(self) -> str:
        """The W3C trace id, 32 hex digits."""
        return self.traceparent[3:35]

    def headers(self) -> dict[str, str]:
        """What a call to another service carries."""
        carried = {REQUEST_ID_HEADER: self.request_id, TRACEPARENT_HEADER: self.traceparent}
        if self.amzn_trace_id:
            carried[AMZN_TRACE_HEADER] = self.amzn_trace_id
        return carried


CALLER = web.RequestKey("caller", Caller)
TRACE = web.RequestKey("trace", Trace)

current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)


def trace_of(request: web.Request) -> Trace:
    """The caller's own names for the request where they are well formed, new ones where not."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    request_id = given if _visible_ascii(given) else secrets.token_hex(16)
    parent = request.headers.get(TRACEPARENT_HEADER, "")
    if not _traceparent(parent):
        parent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    amzn = request.headers.get(AMZN_TRACE_HEADER, "")
    return Trace(request_id, parent, amzn if len(amzn) <= 512 else "")
