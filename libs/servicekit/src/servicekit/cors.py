"""Whose pages may call: a server's part of CORS (https://fetch.spec.whatwg.org/#http-cors-protocol).

A browser shows a page the answer of another origin only if the answer's headers say that it may,
and asks first (a preflight) before it sends what no plain form could. Tokens are in a header that
a page sets by itself, and there are no cookies: credentials are never allowed.

Not aiohttp-cors: it serves resources that are added to it one by one, so an answer of none (404,
405) has no headers and its problem can't be read; and it sends no `Vary`.
"""

from collections.abc import Collection

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler as Next

from servicekit.context import REQUEST_ID_HEADER, TRACEPARENT_HEADER, TRACESTATE_HEADER
from servicekit.health import INSTANCE_ROUTES

PREFLIGHT_SECONDS = 3600
"""For how long a browser may rely on a preflight's answer."""

# Of what callers send, all that the standard doesn't let pass by itself.
_ALLOWED = (
    hdrs.AUTHORIZATION,
    hdrs.CONTENT_TYPE,
    "Idempotency-Key",
    hdrs.IF_MATCH,
    REQUEST_ID_HEADER,
    TRACEPARENT_HEADER,
    TRACESTATE_HEADER,
)
# Of what is answered, likewise.
_EXPOSED = (
    hdrs.ALLOW,
    "ETag",
    "Idempotency-Replayed",
    hdrs.LOCATION,
    hdrs.RETRY_AFTER,
    hdrs.WWW_AUTHENTICATE,
    REQUEST_ID_HEADER,
)
_ALLOW_HEADERS, _EXPOSE_HEADERS = ", ".join(_ALLOWED), ", ".join(_EXPOSED)


class CORS:
    """What is said to pages of some origins, in every answer but an instance's about itself."""

    def __init__(self, origins: Collection[str]) -> None:
        """Takes origins as browsers write them, or `*` for any. With none it never does a thing."""
        self._origins = frozenset(origins)
        self._is_open = "*" in self._origins

    def attach(self, app: web.Application) -> None:
        """Has the headers put into what the application answers.

        By the signal, since a middleware comes too late for an answer that is streamed.
        """
        if self._origins:
            app.on_response_prepare.append(self._share)

    @web.middleware
    async def answer_preflight(self, request: web.Request, handler: Next) -> web.StreamResponse:
        """204 to a preflight for a path that has routes, whichever method it asks about.

        The browser compares the method with those that the path has, and tells the page.
        """
        if is_preflight(request) and self._may_ask(request):
            refusal = request.match_info.http_exception
            # aiohttp has looked the path up, and refuses the method alone: it names the others.
            if isinstance(refusal, web.HTTPMethodNotAllowed):
                return _leave(refusal.allowed_methods)
        return await handler(request)

    def _may_ask(self, request: web.Request) -> bool:
        return self._allowed(request) is not None and request.path not in INSTANCE_ROUTES

    async def _share(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.path in INSTANCE_ROUTES:
            return
        if not self._is_open:
            # An answer without the header must not be kept for an origin that gets it.
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = self._allowed(request)
        if origin is not None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSE_HEADERS

    def _allowed(self, request: web.Request) -> str | None:
        """The value of Access-Control-Allow-Origin; the same for all where any origin may read."""
        if self._is_open:
            return "*"
        origin = request.headers.get(hdrs.ORIGIN)
        return origin if origin in self._origins else None


def is_preflight(request: web.Request) -> bool:
    """Whether this is a browser's question what a page may send."""
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ORIGIN in request.headers
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


def _leave(methods: Collection[str]) -> web.Response:
    return web.Response(
        status=204,
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(sorted(methods)),
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _ALLOW_HEADERS,
            hdrs.ACCESS_CONTROL_MAX_AGE: str(PREFLIGHT_SECONDS),
        },
    )
