"""What every answer tells browsers and caches for its own protection."""

from typing import Final

from aiohttp import hdrs, web

from servicekit.context import CALLER

HSTS: Final = "max-age=31536000; includeSubDomains"
"""A year of nothing but TLS (RFC 6797). A browser heeds it only where it came by TLS."""

# What is sent to these is no question, and no cache keeps the answer to a preflight.
_ASKING: Final = frozenset((hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS))


def protect(app: web.Application, *, by_tls: bool) -> None:
    """Has the headers put into what the application answers, whatever answers it.

    By the signal, since a middleware comes too late for an answer that is streamed.

    Args:
        by_tls: whether callers reach the service by TLS alone.
    """

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        # Nothing is taken for a page or a script because of what it looks like (Fetch, "nosniff").
        headers[hdrs.X_CONTENT_TYPE_OPTIONS] = "nosniff"
        # Where nothing is said of keeping, what was asked with a token, or with a password in the
        # body, is somebody's own.
        if hdrs.CACHE_CONTROL not in headers and (
            CALLER in request or request.method not in _ASKING
        ):
            headers[hdrs.CACHE_CONTROL] = "no-store"
        if by_tls:
            headers[hdrs.STRICT_TRANSPORT_SECURITY] = HSTS

    app.on_response_prepare.append(add)
