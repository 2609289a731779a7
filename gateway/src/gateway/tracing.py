"""X-Amzn-Trace-Id, as Elastic Load Balancing's "Request tracing" page describes it."""

import random
import time


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
