"""What belongs to the request being served, for the log and for calls to other services."""

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import web

from servicekit.auth import Caller
from telemetry.propagation import (
    is_traceparent,
    new_traceparent,
    trace_id_of,
    trace_id_of_root,
)
from telemetry.tracing import Tracing

REQUEST_ID_HEADER = "X-Request-Id"
TRACEPARENT_HEADER = "traceparent"
TRACESTATE_HEADER = "tracestate"
AMZN_TRACE_HEADER = "X-Amzn-Trace-Id"

_visible_ascii = re.compile(r"[\x21-\x7e]{1,128}\Z").match

# What W3C Trace Context asks to pass on at least; longer ones are dropped, as it allows.
_TRACESTATE_LENGTH = 512
_AMZN_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Trace:
    """The names under which a request can be followed through all services."""

    request_id: str
    traceparent: str
    amzn_trace_id: str
    tracestate: str = ""
    is_continued: bool = False
    """Whether the caller sent the traceparent, and so has a span that ours comes under."""

    @property
    def trace_id(self) -> str:
        """The W3C trace id, 32 hex digits."""
        return trace_id_of(self.traceparent)

    def logged(self) -> Mapping[str, str]:
        """What each line of the log says of the request."""
        return {"request_id": self.request_id, "trace_id": self.trace_id}

    def headers(self) -> dict[str, str]:
        """What a call to another service carries."""
        carried = {REQUEST_ID_HEADER: self.request_id, TRACEPARENT_HEADER: self.traceparent}
        if self.tracestate:
            carried[TRACESTATE_HEADER] = self.tracestate
        if self.amzn_trace_id:
            carried[AMZN_TRACE_HEADER] = self.amzn_trace_id
        return carried


CALLER = web.RequestKey("caller", Caller)
TRACE = web.RequestKey("trace", Trace)
ROUTE = web.RequestKey("route", str)
"""Method and pattern, `GET /v1/users/{id}`: what is counted, logged and traced by; no path."""

TRACING = web.AppKey[Tracing | None]("tracing")

current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)


def logged_names() -> Mapping[str, str]:
    """What each line of the log says of the request being served, if any is."""
    trace = current_trace.get()
    return trace.logged() if trace is not None else {}


def trace_of(request: web.Request) -> Trace:
    """The caller's own names for the request where they are well formed, new ones where not.

    A trace that nobody has begun is called what the load balancer calls it.
    """
    headers = request.headers
    given = headers.get(REQUEST_ID_HEADER, "")
    request_id = given if _visible_ascii(given) else secrets.token_hex(16)
    amzn = headers.get(AMZN_TRACE_HEADER, "")
    if len(amzn) > _AMZN_LENGTH:
        amzn = ""
    parent = headers.get(TRACEPARENT_HEADER, "")
    if not is_traceparent(parent):
        return Trace(request_id, new_traceparent(trace_id_of_root(amzn)), amzn)
    state = ",".join(headers.getall(TRACESTATE_HEADER, ()))
    state = state if len(state) <= _TRACESTATE_LENGTH else ""
    return Trace(request_id, parent, amzn, state, is_continued=True)
