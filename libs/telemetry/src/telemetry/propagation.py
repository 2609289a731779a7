"""The names under which one request is followed from process to process.

Two headers carry them: W3C Trace Context's `traceparent` (https://www.w3.org/TR/trace-context/),
and `X-Amzn-Trace-Id`, which load balancers on AWS begin. Both name a trace by 32 hex digits, and
AWS X-Ray takes one for the other: `Root=1-5759e988-bd862e3fe1be46a994272793` is the trace
`5759e988bd862e3fe1be46a994272793`. So what a load balancer logs and what a service logs is found
under one name.
"""

import re
import secrets
from typing import Final

NO_TRACE: Final = "0" * 32
NO_SPAN: Final = "0" * 16

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\Z").match
_ROOT = re.compile(r"(?:^|;)\s*Root=1-([0-9a-f]{8})-([0-9a-f]{24})\s*(?:;|\Z)").search


def is_traceparent(text: str) -> bool:
    """Whether this is a `traceparent` of version 00 that names a trace and a span."""
    found = _TRACEPARENT(text)
    return found is not None and found[1] != NO_TRACE and found[2] != NO_SPAN


def trace_id_of(traceparent: str) -> str:
    """The trace id of a well-formed `traceparent`, 32 hex digits."""
    return traceparent[3:35]


def trace_id_of_root(amzn_trace_id: str) -> str | None:
    """The trace id that an `X-Amzn-Trace-Id` names by its Root, None where it names none."""
    found = _ROOT(amzn_trace_id)
    if found is None or found[1] + found[2] == NO_TRACE:
        return None
    return found[1] + found[2]


def new_traceparent(trace_id: str | None = None) -> str:
    """A `traceparent` for a request that came without one: of a span that nobody records.

    Args:
        trace_id: of the trace that the request is part of; None begins another.
    """
    return f"00-{trace_id or secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
