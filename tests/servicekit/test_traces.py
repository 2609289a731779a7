"""A request's spans and names: its own, and those that go on to other services."""

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer, make_mocked_request
from multidict import CIMultiDict

from servicekit.app import calls_to_peer
from servicekit.context import TRACING, trace_of
from servicekit.health import METRICS
from servicekit.peers import Peer, PeerUnavailableError
from tests.servicekit.conftest import Kit
from tests.servicekit.spans import KeptSpan, KeptTracing

GIVEN = f"00-{'a' * 32}-{'b' * 16}-01"
ROOT = "1-5759e988-bd862e3fe1be46a994272793"
ROOTS_TRACE = "5759e988bd862e3fe1be46a994272793"


async def test_a_request_is_a_span_by_its_route_under_the_callers(traced: Kit) -> None:
    await traced.client.get("/v1/things/a1", headers={"traceparent": GIVEN, "X-Request-Id": "r1"})
    (span,) = spans(traced)
    assert (span.kind, span.name, span.parent) == ("server", "GET /v1/things/{id}", GIVEN)
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/things/{id}",
        "request.id": "r1",
        "http.response.status_code": 200,
    }
    assert span.failure is None


async def test_a_trace_that_begins_here_has_the_load_balancers_name(traced: Kit) -> None:
    await traced.client.get("/v1/things/a1", headers={"X-Amzn-Trace-Id": f"Root={ROOT}"})
    await traced.client.get("/v1/things/a1")
    first, second = spans(traced)
    assert (first.parent, first.trace_id) == ("", ROOTS_TRACE)
    assert second.trace_id != ROOTS_TRACE


async def test_failures_are_failed_spans_and_refusals_are_not(traced: Kit) -> None:
    for path in ("/v1/failures/away", "/v1/failures/full", "/v1/failures/x", "/nowhere"):
        await traced.client.get(path)
    assert [(span.name, span.failure) for span in spans(traced)] == [
        ("GET /v1/failures/{id}", "503"),
        ("GET /v1/failures/{id}", None),
        ("GET /v1/failures/{id}", "500"),
        ("unrouted", None),
    ]


async def test_what_only_a_load_balancer_asks_is_not_traced(traced: Kit) -> None:
    for path in ("/health", "/health/dependencies", "/metrics"):
        await traced.client.get(path)
    assert spans(traced) == []


async def test_a_call_to_a_peer_is_a_span_that_the_peer_comes_under(traced: Kit) -> None:
    carried: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        carried.append(request.headers["traceparent"])
        status = {"none": 404, "busy": 429}.get(request.path.rpartition("/")[2], 200)
        return web.json_response({}, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server, ClientSession() as session:
        peer = Peer(session, str(server.make_url("/")), calls=calls_to_peer(traced.app, "users"))
        await peer.call("GET", "/v1/doctors/{id}", {"id": "a/b?c"})
        await peer.call("GET", "/v1/doctors/{id}", {"id": "none"})
        with pytest.raises(PeerUnavailableError):
            await peer.call("GET", "/v1/doctors/{id}", {"id": "busy"})
    found, none, busy = spans(traced)
    assert carried == [found.traceparent, none.traceparent, busy.traceparent]
    assert (found.kind, found.name) == ("client", "users GET /v1/doctors/{id}")
    assert (found.attributes["result"], none.attributes["result"]) == ("ok", "refused")
    value = traced.app[METRICS].registry.get_sample_value
    labels = {"peer": "users", "operation": "GET /v1/doctors/{id}"}
    assert value("peer_calls_total", {**labels, "result": "ok"}) == 1
    assert value("peer_calls_total", {**labels, "result": "refused"}) == 1
    assert value("peer_calls_total", {**labels, "result": "throttled"}) == 1


def carried_on(**headers: str) -> dict[str, str]:
    """What a call to another service carries of a request with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return trace_of(make_mocked_request("GET", "/x", headers=named)).headers()


def test_untraced_a_request_keeps_the_names_that_it_came_with() -> None:
    names = {"traceparent": GIVEN, "tracestate": "a=b", "X-Amzn-Trace-Id": f"Root={ROOT}"}
    assert carried_on(**names).items() >= names.items()


def test_without_a_trace_of_the_callers_the_load_balancers_goes_on() -> None:
    begun = carried_on(traceparent="nonsense", tracestate="a=b", X_Amzn_Trace_Id=f"Root={ROOT}")
    assert begun["traceparent"].startswith(f"00-{ROOTS_TRACE}-")
    assert "tracestate" not in begun


def test_a_state_in_several_headers_is_one_list() -> None:
    headers = CIMultiDict([("traceparent", GIVEN), ("tracestate", "a=1"), ("tracestate", "b=2")])
    names = trace_of(make_mocked_request("GET", "/x", headers=headers))
    assert names.tracestate == "a=1,b=2"


def test_what_is_too_long_is_not_carried_on() -> None:
    long = carried_on(traceparent=GIVEN, tracestate="a" * 513, X_Amzn_Trace_Id="R" * 513)
    assert set(long) == {"X-Request-Id", "traceparent"}


def spans(kit: Kit) -> list[KeptSpan]:
    tracing = kit.app[TRACING]
    assert isinstance(tracing, KeptTracing)
    return list(tracing.spans)
