"""Puts a service's operations together as an aiohttp application."""

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import replace

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler as Next
from aiohttp.typedefs import Middleware

from jwtverify import JWTVerifier
from servicekit.auth import Caller, authenticate
from servicekit.calls import CallMetrics, Calls, Classify
from servicekit.context import (
    CALLER,
    REQUEST_ID_HEADER,
    ROUTE,
    TRACE,
    TRACING,
    Trace,
    current_trace,
    trace_of,
)
from servicekit.cors import CORS, is_preflight
from servicekit.health import HEALTH, INSTANCE_ROUTES, METRICS, Health
from servicekit.metrics import Metrics
from servicekit.openapi import openapi_document
from servicekit.operations import AnyOperation
from servicekit.peers import classify as classify_peer
from servicekit.problems import (
    DEADLINE_EXCEEDED,
    INTERNAL_ERROR,
    PROBLEM_JSON,
    Problem,
    ProblemDetails,
    ProblemError,
    of_http_exception,
    unavailable,
)
from servicekit.protection import protect
from telemetry.metrics import measured_loop_lag

log = structlog.get_logger()

VERIFIER = web.AppKey("verifier", JWTVerifier)
PROBLEMS = web.AppKey[Mapping[type[Exception], Problem]]("problems")

CallerCheck = Callable[[web.Request, Caller], Awaitable[Caller]]
Context = Callable[[web.Application], AsyncIterator[None]]

_UNROUTED = "unrouted"
_PREFLIGHT = "preflight"


def build_app(
    *,
    service: str,
    version: str,
    operations: Sequence[AnyOperation],
    problems: Mapping[type[Exception], Problem],
    contexts: Iterable[Context],
    check_caller: CallerCheck | None = None,
    allowed_origins: Collection[str] = (),
    by_tls: bool = False,
) -> web.Application:
    """An application that serves the operations, its own OpenAPI document and its health.

    Args:
        problems: what each domain error is on the wire; subclasses count as their base.
        contexts: opened in order at start, closed in reverse; one of them sets `app[VERIFIER]`.
        check_caller: more to ask of a caller with a good token; gives back the caller as it is
            now, whose role is checked again if it is another. May raise domain errors.
        allowed_origins: whose pages may call (CORS); `*` for any.
        by_tls: whether callers come by TLS alone, which browsers are told to keep to.
    """
    cors = CORS(allowed_origins)
    app = web.Application(middlewares=_middlewares(cors))
    cors.attach(app)
    protect(app, by_tls=by_tls)
    app[HEALTH] = Health(service, version)
    app[METRICS] = Metrics(service, version)
    app[TRACING] = None  # unless the process is told where traces go
    app[PROBLEMS] = problems
    for path, handler in INSTANCE_ROUTES.items():
        app.router.add_get(path, handler)
    for operation in operations:
        endpoint = _endpoint(operation, check_caller)
        if operation.method == "GET":
            app.router.add_get(operation.path, endpoint)  # and HEAD
        else:
            app.router.add_route(operation.method, operation.path, endpoint)
    document = openapi_document(service, version, operations, problems).encode()
    app.router.add_get(f"/v1/openapi/{service}.json", _serve_document(document))
    app.cleanup_ctx.extend((_loop_lag, *contexts))
    return app


def calls_to_store(app: web.Application, store: str, classify: Classify) -> Calls:
    """How the calls to the service's store are counted and traced."""
    return _calls(app, app[METRICS].stores, store, classify)


def calls_to_peer(app: web.Application, peer: str) -> Calls:
    """How the calls to another service are counted and traced."""
    return _calls(app, app[METRICS].peers, peer, classify_peer)


def _calls(app: web.Application, metrics: CallMetrics, target: str, classify: Classify) -> Calls:
    attributes = {"peer.service": target}
    return Calls(metrics, target, classify=classify, tracing=app[TRACING], attributes=attributes)


async def _loop_lag(app: web.Application) -> AsyncIterator[None]:
    async with measured_loop_lag(app[METRICS].registry):
        yield


def _middlewares(cors: CORS) -> list[Middleware]:
    """From the outside in.

    `trace` comes first, for whatever happens later is logged and answered with the request's id.
    `observe` counts and logs every answer, so it stands outside of `problems`, which makes the
    last exception an answer. Authentication and limits are part of the endpoint, since both
    depend on the operation; what they refuse becomes a problem document like all else. A
    preflight has no operation and no token, so it is answered before any of that.
    """
    return [trace, observe, answer_problems, cors.answer_preflight]


@web.middleware
async def trace(request: web.Request, handler: Next) -> web.StreamResponse:
    """Gives the request its names, the answer its `X-Request-Id`, and the trace a span."""
    route = _route_of(request)
    request[ROUTE] = route
    names = trace_of(request)
    tracing = request.app[TRACING]
    if tracing is None or route in _QUIET:
        return await _answer_named(request, handler, names)
    with tracing.span(
        "server",
        route,
        _attributes_of(request, names),
        traceparent=names.traceparent if names.is_continued else "",
        trace_id=names.trace_id,
    ) as span:
        names = replace(names, traceparent=span.traceparent)
        response = await _answer_named(request, handler, names)
        span.set("http.response.status_code", response.status)
        if response.status >= 500:
            span.fail(str(response.status))
        return response


def _route_of(request: web.Request) -> str:
    """What the request is counted, logged and traced by; nothing of it is freely chosen."""
    resource = request.match_info.route.resource
    if resource is None:
        return _PREFLIGHT if is_preflight(request) else _UNROUTED
    return f"{request.method} {resource.canonical}"


def _attributes_of(request: web.Request, names: Trace) -> dict[str, str]:
    """What the request's span says of it, with its id, by which the logs are searched."""
    attributes = {"request.id": names.request_id}
    resource = request.match_info.route.resource
    if resource is not None:
        attributes |= {"http.request.method": request.method, "http.route": resource.canonical}
    return attributes


async def _answer_named(request: web.Request, handler: Next, names: Trace) -> web.StreamResponse:
    request[TRACE] = names
    current_trace.set(names)
    response = await handler(request)
    if not response.prepared:
        response.headers[REQUEST_ID_HEADER] = names.request_id
        if request.app[HEALTH].draining:
            # The load balancer must not send another request on a connection about to close.
            response.force_close()
    return response


@web.middleware
async def observe(request: web.Request, handler: Next) -> web.StreamResponse:
    """Counts and logs the request by its route, never by its path."""
    route = request[ROUTE]
    metrics = request.app[METRICS].of_route(route)
    started = time.perf_counter()
    status = 499  # stays if the client went away before there was an answer
    metrics.in_flight.inc()
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        seconds = time.perf_counter() - started
        metrics.in_flight.dec()
        metrics.observe(status, seconds)
        if route not in _QUIET:
            caller = request.get(CALLER)
            log.info(
                "request",
                route=route,
                status=status,
                duration_ms=round(seconds * 1000, 2),
                caller=caller.id if caller is not None else None,
            )


# What load balancers and browsers ask by themselves.
_QUIET = frozenset(
    [_PREFLIGHT, *(f"{method} {path}" for path in INSTANCE_ROUTES for method in ("GET", "HEAD"))]
)


@web.middleware
async def answer_problems(request: web.Request, handler: Next) -> web.StreamResponse:
    """Makes every refusal and every failure a problem document."""
    try:
        return await handler(request)
    except ProblemError as error:
        return _problem_response(request, error)
    except web.HTTPException as error:
        return _problem_response(request, of_http_exception(error))
    except Exception as error:
        known = _of_domain_error(error, request.app[PROBLEMS])
        if known is None:
            log.exception("unexplained failure")
            known = ProblemError(INTERNAL_ERROR)
        elif known.problem.status >= 500:
            # What the caller is told is fit for the log too; what led to it is told without texts.
            log.warning(
                "dependency failed",
                code=known.problem.code,
                reason=known.detail,
                exc_info=error,
            )
        return _problem_response(request, known)


def _of_domain_error(
    error: Exception, problems: Mapping[type[Exception], Problem]
) -> ProblemError | None:
    """A domain error may carry `members` for the document and `retry_after`, in seconds."""
    for kind in type(error).__mro__:
        problem = problems.get(kind)
        if problem is not None:
            members = getattr(error, "members", None)
            seconds = getattr(error, "retry_after", 1 if problem.status == 503 else None)
            headers = {"Retry-After": str(seconds)} if seconds is not None else None
            return ProblemError(problem, str(error), headers=headers, members=members)
    return None


def _problem_response(request: web.Request, error: ProblemError) -> web.Response:
    details = ProblemDetails(
        error.problem,
        request_id=request[TRACE].request_id,
        instance=request.rel_url.raw_path[:2048],
        detail=error.detail,
        members=error.members,
    )
    request.app[METRICS].problem(request[ROUTE], error.problem.code)
    response = web.Response(
        body=details.encode(),
        status=error.problem.status,
        headers={**error.problem.headers, **error.headers},
        content_type=PROBLEM_JSON,
    )
    if not request.content.at_eof():
        # What is left of the body is not worth reading, and can't be taken for a next request.
        response.force_close()
    return response


def _endpoint(operation: AnyOperation, check_caller: CallerCheck | None) -> Next:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(operation.deadline):
                caller = await authenticate(request, operation.access, request.app[VERIFIER])
                if caller is not None:
                    request[CALLER] = caller  # the log tells who was refused, too
                    operation.access.check(caller)
                    if check_caller is not None:
                        current = await check_caller(request, caller)
                        if current is not caller:
                            operation.access.check(current)
                            request[CALLER] = caller = current
                return await operation(request, caller)
        except TimeoutError as error:
            raise unavailable(DEADLINE_EXCEEDED, "try again shortly") from error

    return endpoint


def _serve_document(document: bytes) -> Next:
    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json", charset="utf-8")

    return serve
