"""The names that a request goes by: X-Amzn-Trace-Id, the trace's id and the request's own.

Source of the first: Elastic Load Balancing, "Request tracing".
"""

import random
import re
import time
from typing import Final

from telemetry.propagation import is_traceparent, trace_id_of, trace_id_of_root

_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")


def trace_header(received: bytes) -> bytes:
    """The header for the target.

    A request without one gets `Root=1-<time>-<id>`; where a Root is there, `Self=…` goes before it,
    in place of an older Self. Other fields are kept.
    """
    mark = b"1-%08x-%024x" % (int(time.time()), random.getrandbits(96))
    if not received:
        return b"Root=" + mark
    fields = [field.strip() for field in received.split(b";")]
    kept = [field for field in fields if field and not field.startswith(b"Self=")]
    rooted = any(field.startswith(b"Root=") for field in kept)
    return b";".join([(b"Self=" if rooted else b"Root=") + mark, *kept])


def request_id(*candidates: bytes) -> str | None:
    """The first of these X-Request-Id that is 1 to 128 visible ASCII characters."""
    for candidate in candidates:
        if _REQUEST_ID.fullmatch(candidate):
            return candidate.decode()
    return None


def trace_id(traceparent: str, trace: bytes) -> str | None:
    """The trace's id, 32 hex digits, by a well-formed `traceparent`, else by X-Amzn-Trace-Id."""
    if is_traceparent(traceparent):
        return trace_id_of(traceparent)
    return trace_id_of_root(trace.decode("latin-1"))
