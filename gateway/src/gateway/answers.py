"""The gateway's own answers: plain, short, and never a problem document."""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

# What the load balancer's own statuses are called (Elastic Load Balancing, "Troubleshoot your
# Application Load Balancers").
_REASONS: Final = {460: "Client Closed Request", 463: "Too Many Forwarded Addresses"}
UNREGISTERED: Final = frozenset(_REASONS)  # with IANA, unlike all of HTTPStatus


def reason(status: int) -> str:
    """The words that go with a status."""
    return _REASONS.get(status) or HTTPStatus(status).phrase


def plain_answer(status: int, *, head_only: bool, old: bool, keep_alive: bool) -> bytes:
    """A whole answer that says only its status; `old` says that the client speaks HTTP/1.0."""
    text = f"{status} {reason(status)}\n".encode()
    return answer(
        status,
        "text/plain; charset=utf-8",
        text,
        head_only=head_only,
        old=old,
        keep_alive=keep_alive,
    )


def answer(
    status: int,
    content_type: str,
    body: bytes,
    *,
    head_only: bool,
    old: bool,
    keep_alive: bool,
) -> bytes:
    """A whole answer; `old` says that the client speaks HTTP/1.0."""
    connection = ("keep-alive" if old else None) if keep_alive else "close"
    lines = [
        f"HTTP/1.1 {status} {reason(status)}",
        "Server: gateway",
        f"Date: {_date(int(time.time()))}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "X-Content-Type-Options: nosniff",
        *([f"Connection: {connection}"] if connection else []),
        "\r\n",
    ]
    head = "\r\n".join(lines).encode()
    return head if head_only else head + body


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
