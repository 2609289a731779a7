import re

import pytest

from gateway.errors import BadResponseError, RefusedError
from gateway.heads import parse_request, parse_response
from gateway.tracing import trace_header


def head(*fields: bytes, line: bytes = b"POST /v1/users HTTP/1.1", host: bool = True) -> bytes:
    return b"\r\n".join([line, *([b"Host: clinic.example"] if host else []), *fields])


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (head(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        (head(b"Content-Length: 5", b"Content-Length: 5"), 400),
        (head(b"Content-Length: 5", b"Content-Length: 6"), 400),
        (head(b"Content-Length: 5, 5"), 400),
        (head(b"Content-Length: +5"), 400),
        (head(b"Content-Length: -1"), 400),
        (head(b"Content-Length: 0x5"), 400),
        (head(b"Content-Length: "), 400),
        (head(b"Content-Length: 9999999999999999999"), 400),
        (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
        (head(b"Transfer-Encoding: chunked, gzip"), 400),
        (head(b"Transfer-Encoding: \x0bchunked"), 400),
        (head(b"Transfer-Encoding: chunked;q=1"), 400),
        (head(b"Transfer-Encoding:"), 400),
        (head(b"Transfer-Encoding: gzip"), 501),
        (head(b"Transfer-Encoding: gzip, chunked"), 501),
        (head(b"Transfer-Encoding: xchunked"), 501),
        (head(b"Transfer-Encoding: chunked", line=b"POST /v1/users HTTP/1.0"), 400),
        (head(b"Transfer-Encoding : chunked"), 400),
        (head(b" folded: value"), 400),
        (head(b"X: a\rb"), 400),
        (head(b"X: a\nb"), 400),
        (head(b"X: a\x00b"), 400),
        (head(b"X\xff: a"), 400),
        (head(b": a"), 400),
        (head(b"no colon"), 400),
        (head(b"Host: other.example"), 400),
        (head(host=False), 400),
        (head(line=b"POST  /v1/users HTTP/1.1"), 400),
        (head(line=b"POST /v1/us ers HTTP/1.1"), 400),
        (head(line=b"POST /v1/users#x HTTP/1.1"), 400),
        (head(line=b"POST v1/users HTTP/1.1"), 400),
        (head(line=b"POST /v1/users HTTP/2.0"), 400),
        (head(line=b"POST /v1/users"), 400),
        (head(line=b"PO(ST /v1/users HTTP/1.1"), 400),
        (head(line=b"PRI * HTTP/2.0"), 400),
        (head(line=b"CONNECT clinic.example:443 HTTP/1.1"), 400),
        (head(line=b"TRACE /v1/users HTTP/1.1"), 405),
        (head(line=b"GET /" + b"a" * 16_384 + b" HTTP/1.1"), 414),
        (head(b"X: " + b"a" * 16_384), 400),
        (head(b"X-Forwarded-For: " + b", ".join([b"10.0.0.1"] * 31)), 463),
        (head(*[b"X-Forwarded-For: 10.0.0.1"] * 31), 463),
    ],
)
def test_refuses(raw: bytes, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_request(raw)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("raw", "ambiguous"),
    [
        (head(b"Content-Length: 5"), False),
        (head(b"Transfer-Encoding: Chunked"), False),
        (head(line=b"GET /v1/users HTTP/1.1"), False),
        (head(b"Content-Length: 0", line=b"GET /v1/users HTTP/1.1"), False),
        (head(b"Content-Length: 5", line=b"GET /v1/users HTTP/1.1"), True),
        (head(b"Transfer-Encoding: chunked", line=b"HEAD /v1/users HTTP/1.1"), True),
        (head(b"X-Empty:"), True),
        (head(b"X-Blank: \t"), True),
        (head(b"Content_Length: 5"), True),
        (head(b"Transfer_Encoding: chunked"), True),
    ],
)
def test_tells_ambiguous_requests(raw: bytes, ambiguous: bool) -> None:
    assert parse_request(raw).ambiguous is ambiguous


def test_takes_every_limit() -> None:
    line = b"GET /" + b"a" * (16_384 - len(b"GET / HTTP/1.1")) + b" HTTP/1.1"
    parse_request(head(line=line))
    parse_request(head(b"X: " + b"a" * 16_381))
    parse_request(head(b"X-Forwarded-For: " + b", ".join([b"10.0.0.1"] * 30)))


def test_passes_on_the_bytes_it_got() -> None:
    request = parse_request(
        head(
            b"x-ODD:  two  spaces \t",
            b"Cookie: a=1",
            b"X-Twice: 1",
            b"Cookie: b=2",
            b"X-Twice: 2",
            b"X-High: caf\xc3\xa9 \xff",
            b"Content-Length: 3",
            line=b"POST /v1/users/%7e/%2F/../a;b?q=%20+&r=[\xc3\xa9] HTTP/1.1",
        )
    )
    sent = request.for_target(client=b"10.0.0.9", port=b"8080", trace=b"Root=1", netloc=b"t:1")
    assert sent == (
        b"POST /v1/users/%7e/%2F/../a;b?q=%20+&r=[\xc3\xa9] HTTP/1.1\r\n"
        b"Host: clinic.example\r\n"
        b"x-ODD:  two  spaces \t\r\n"
        b"Cookie: a=1\r\nX-Twice: 1\r\nCookie: b=2\r\nX-Twice: 2\r\n"
        b"X-High: caf\xc3\xa9 \xff\r\n"
        b"Content-Length: 3\r\n"
        b"X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n"
        b"X-Amzn-Trace-Id: Root=1\r\n\r\n"
    )


def traced(*given: bytes) -> list[bytes]:
    """What a target gets of these headers where the gateway has a trace of its own."""
    sent = parse_request(head(*given)).for_target(
        client=b"4.4.4.4", port=b"8080", trace=b"Root=1", netloc=b"t:1", traceparent=b"00-ours"
    )
    return [line for line in sent.split(b"\r\n") if b"trace" in line.lower()]


def test_a_traceparent_of_ours_takes_the_place_of_the_one_that_came() -> None:
    given = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    assert traced(b"Traceparent: " + given, b"tracestate: a=1", b"traceparents: x") == [
        b"tracestate: a=1",
        b"traceparents: x",
        b"traceparent: 00-ours",
        b"X-Amzn-Trace-Id: Root=1",
    ]


def test_the_state_of_a_trace_that_is_none_goes_no_further() -> None:
    assert traced(b"Traceparent: 00-a", b"tracestate: a=1", b"traceparent:00-b") == [
        b"traceparent: 00-ours",
        b"X-Amzn-Trace-Id: Root=1",
    ]


def test_removes_what_is_for_one_hop_only() -> None:
    request = parse_request(
        head(
            b"Connection: keep-alive, X-Hop, Host, Content-Length",
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: close",
            b"Proxy-Authorization: Basic eA==",
            b"TE: trailers",
            b"Trailer: X-Sum",
            b"Upgrade: websocket",
            b"x-hop: 1",
            b"X-Kept: 1",
            b"Content-Length: 3",
        )
    )
    assert request.lines == [b"Host: clinic.example", b"X-Kept: 1", b"Content-Length: 3"]
    assert request.upgrade is None


def test_never_offers_http_2_to_a_target() -> None:
    request = parse_request(
        head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    )
    assert request.upgrade is None
    assert request.lines == [b"Host: clinic.example"]


def test_routes_an_absolute_target_by_its_path_and_host() -> None:
    request = parse_request(head(line=b"GET http://Other.example:81/v1/users?x=1 HTTP/1.1"))
    assert request.target == b"/v1/users?x=1"
    assert request.path == "/v1/users"
    assert request.lines == [b"Host: Other.example:81"]


def test_appends_to_the_chain_of_addresses_and_sets_the_rest() -> None:
    request = parse_request(
        head(
            b"X-Forwarded-For: 1.1.1.1, 2.2.2.2",
            b"X-Forwarded-For: 3.3.3.3",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Port: 443",
        )
    )
    sent = request.for_target(client=b"4.4.4.4", port=b"8080", trace=b"Root=1", netloc=b"t:1")
    forwarded = [line for line in sent.split(b"\r\n") if line.startswith(b"X-Forwarded")]
    assert forwarded == [
        b"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 4.4.4.4",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Port: 8080",
    ]


@pytest.mark.parametrize(
    ("received", "pattern"),
    [
        (b"", rb"Root=1-[0-9a-f]{8}-[0-9a-f]{24}"),
        (b"Root=1-a-b", rb"Self=1-[0-9a-f]{8}-[0-9a-f]{24};Root=1-a-b"),
        (b"Self=1-c-d;Root=1-a-b;X=y", rb"Self=1-[0-9a-f]{8}-[0-9a-f]{24};Root=1-a-b;X=y"),
        (b"CalledFrom=app", rb"Root=1-[0-9a-f]{8}-[0-9a-f]{24};CalledFrom=app"),
    ],
)
def test_marks_the_trace(received: bytes, pattern: bytes) -> None:
    assert re.fullmatch(pattern, trace_header(received))


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: one",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
        b"HTTP/1.1 200 OK\r\n folded",
        b"HTTP/1.1 20 OK",
        b"HTTP/2 200 OK",
        b"SSH-2.0-OpenSSH_9.6",
    ],
)
def test_refuses_a_bad_answer(raw: bytes) -> None:
    with pytest.raises(BadResponseError):
        parse_response(raw)


def test_passes_an_answer_on_as_it_came() -> None:
    response = parse_response(
        b"HTTP/1.1 418 I'm a teapot\r\nSet-Cookie: a=1\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n"
        b"Set-Cookie: b=2\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\nKeep-Alive: x"
    )
    assert not response.keep_alive
    assert response.for_client(old=False, keep_alive=True) == (
        b"HTTP/1.1 418 I'm a teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\n"
    )
