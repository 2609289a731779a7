"""Heads of HTTP/1 messages: read strictly, passed on byte for byte (RFC 9110 and 9112).

What a request may be follows the load balancer's "defensive" desync mitigation. Severe cases are
refused with 400. Of the ambiguous ones, those whose body's end two readers could see at different
places (Content-Length beside Transfer-Encoding, or repeated) are refused as well; the others are
passed on and both connections closed after them.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from gateway.bodies import Body, Chunked, Sized, UntilClosed
from gateway.errors import BadResponseError, RefusedError
from telemetry.propagation import is_traceparent

# Elastic Load Balancing, "Quotas for your Application Load Balancers", HTTP headers.
MAX_LINE: Final = 16 * 1024
MAX_REQUEST_HEAD: Final = 64 * 1024
MAX_RESPONSE_HEAD: Final = 32 * 1024
MAX_FORWARDED_FOR: Final = 30

OTHER_METHOD: Final = "_OTHER"
# RFC 9110, section 9.3, and RFC 5789.
_METHODS: Final = {
    *(b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH")
}

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(
    rb"(" + _TOKEN + rb") ([\x21\x22\x24-\x7e\x80-\xff]+) HTTP/1\.([01])"
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]+)(.*)", re.IGNORECASE)
_CODINGS: Final = re.compile(_TOKEN + rb"(?:[ \t]*,[ \t]*" + _TOKEN + rb")*")
_NO_LETTERS: Final = re.compile(rb"[^a-z]")


class _Kind(Enum):
    ORDINARY = auto()  # passed on as it is
    NOTED = auto()  # passed on, and its value matters
    TAKEN = auto()  # not passed on as it is: hop-by-hop, or written anew
    SUSPICIOUS = auto()  # passed on, but some reader might take it for a framing header


_NOTED: Final = {b"host", b"content-length", b"x-request-id", b"traceparent"}
_TAKEN: Final = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
_TAKEN_FROM_REQUESTS: Final = {
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-port",
    b"x-amzn-trace-id",
}
# Connection may not name what frames or routes the message.
_KEPT: Final = {b"content-length", b"host"}


@dataclass(slots=True)
class RequestHead:
    """A request as the client sent it, and what of it decides how to pass it on."""

    method: bytes
    target: bytes
    path: str  # one character a byte, as sent, without the query string
    lines: list[bytes]  # header lines that go on to the target, in order
    old: bool  # HTTP/1.0
    keep_alive: bool
    ambiguous: bool  # both connections are closed after it
    length: int
    chunked: bool
    upgrade: bytes | None
    forwarded_for: bytes
    trace: bytes  # X-Amzn-Trace-Id as the client sent it
    traceparent: bytes  # likewise
    request_id: bytes  # X-Request-Id, likewise

    def body(self) -> Body:
        """What follows the head."""
        return Chunked() if self.chunked else Sized(self.length)

    def for_target(
        self, *, client: bytes, port: bytes, trace: bytes, netloc: bytes, traceparent: bytes = b""
    ) -> bytes:
        """The head that the target gets.

        Args:
            client: the client's address, appended to X-Forwarded-For.
            port: the gateway's port that the client used.
            trace: X-Amzn-Trace-Id's value.
            netloc: the target's own host and port, for a client of HTTP/1.0 that names no host.
            traceparent: the value to send in place of the client's; empty leaves that as it came.
        """
        chain = self.forwarded_for + b", " + client if self.forwarded_for else client
        lines = [self.method + b" " + self.target + b" HTTP/1.1", *self.lines]
        if self.old and not any(line[:5].lower() == b"host:" for line in self.lines):
            lines.append(b"Host: " + netloc)
        if traceparent:
            lines = [line for line in lines if not line[:12].lower().startswith(self._replaced())]
            lines.append(b"traceparent: " + traceparent)
        if self.chunked:
            lines.append(b"Transfer-Encoding: chunked")
        if self.upgrade is not None:
            lines.append(b"Connection: Upgrade\r\nUpgrade: " + self.upgrade)
        lines.append(
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: %b\r\n"
            b"X-Amzn-Trace-Id: %b\r\n\r\n" % (chain, port, trace)
        )
        return b"\r\n".join(lines)

    def _replaced(self) -> tuple[bytes, ...]:
        """The headers of a trace that the gateway's own takes the place of."""
        if is_traceparent(self.traceparent.decode("latin-1")):
            return (b"traceparent:",)
        return (b"traceparent:", b"tracestate:")  # the state of a trace that is none


@dataclass(slots=True)
class ResponseHead:
    """A response as the target sent it, and what of it decides how to pass it on."""

    status: int
    reason: bytes
    lines: list[bytes]
    keep_alive: bool
    length: int | None
    chunked: bool
    upgrade: bytes | None
    request_id: bytes  # X-Request-Id as the target sent it

    def body(self, method: bytes, *, decode: bool) -> Body:
        """What follows the head, as RFC 9112, section 6.3, says; decoded for HTTP/1.0."""
        if method == b"HEAD" or self.status < 200 or self.status in (204, 304):
            return Sized(0)
        if self.chunked:
            return Chunked(decode=decode)
        return UntilClosed() if self.length is None else Sized(self.length)

    def for_client(self, *, old: bool, keep_alive: bool) -> bytes:
        """The head that the client gets; `old` says that it speaks HTTP/1.0."""
        lines = [b"HTTP/1.1 %d %b" % (self.status, self.reason), *self.lines]
        if self.chunked and not old and self.status >= 200 and self.status != 204:
            lines.append(b"Transfer-Encoding: chunked")
        if self.status == 101:
            lines.append(b"Connection: Upgrade\r\nUpgrade: " + (self.upgrade or b""))
        elif self.status >= 200 and not keep_alive:
            lines.append(b"Connection: close")
        elif self.status >= 200 and old:
            lines.append(b"Connection: keep-alive")
        lines.append(b"\r\n")
        return b"\r\n".join(lines)


def known_method(method: bytes) -> str:
    """A method's name, or `_OTHER` (OpenTelemetry, "HTTP spans") for what is none of HTTP's own."""
    return method.decode() if method in _METHODS else OTHER_METHOD


@lru_cache(maxsize=1024)
def _kind(name: bytes) -> tuple[bytes, _Kind]:
    """What to do with a request's header of this name."""
    lower = name.lower()
    if lower in _NOTED:
        return lower, _Kind.NOTED
    if lower in _TAKEN or lower in _TAKEN_FROM_REQUESTS:
        return lower, _Kind.TAKEN
    if _NO_LETTERS.sub(b"", lower) in (b"contentlength", b"transferencoding"):
        return lower, _Kind.SUSPICIOUS
    return lower, _Kind.ORDINARY


def parse_request(head: bytes) -> RequestHead:
    """Read a request's head, given without the blank line that ends it.

    Raises:
        RefusedError: 400 malformed, ambiguous or a header line over 16 KiB; 405 TRACE; 414 request
            line over 16 KiB; 463 over 30 addresses in X-Forwarded-For; 501 unknown
            Transfer-Encoding.
    """
    request_line, *fields = head.split(b"\r\n")
    if len(request_line) > MAX_LINE:
        raise RefusedError(414)
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None:
        raise RefusedError(400)
    method, target, minor = match.groups()
    old = minor == b"0"
    lines: list[bytes] = []
    noted: dict[bytes, list[bytes]] = {}
    ambiguous = False
    for line in fields:
        field = _FIELD.fullmatch(line)
        if field is None or len(line) > MAX_LINE:
            raise RefusedError(400)
        name, value = field.groups()
        lower, kind = _kind(name)
        if kind is not _Kind.TAKEN:
            lines.append(line)
        if kind is _Kind.SUSPICIOUS or not value or value.isspace():
            ambiguous = True
        if kind is not _Kind.ORDINARY:
            noted.setdefault(lower, []).append(value.strip(b" \t"))

    target = _check_target(method, target, noted, lines, old=old)
    length, chunked = _request_framing(noted, old=old)
    if method in (b"GET", b"HEAD") and (length or chunked):
        ambiguous = True
    connection = _tokens(noted.get(b"connection", ()))
    upgrade = b", ".join(noted.get(b"upgrade", ())) if b"upgrade" in connection else None
    if upgrade is not None and _tokens([upgrade]) & {b"h2c", b"h2"}:
        # A target that switched to HTTP/2 here would take requests that no rule has routed.
        upgrade = None
    forwarded_for = b", ".join(noted.get(b"x-forwarded-for", ()))
    if forwarded_for.count(b",") >= MAX_FORWARDED_FOR:
        raise RefusedError(463)
    return RequestHead(
        method=method,
        target=target,
        path=target.partition(b"?")[0].decode("latin-1"),
        lines=_without(lines, connection),
        old=old,
        keep_alive=b"keep-alive" in connection if old else b"close" not in connection,
        ambiguous=ambiguous,
        length=length,
        chunked=chunked,
        upgrade=upgrade or None,
        forwarded_for=forwarded_for,
        trace=b";".join(noted.get(b"x-amzn-trace-id", ())),
        traceparent=b", ".join(noted.get(b"traceparent", ())),
        request_id=b", ".join(noted.get(b"x-request-id", ())),
    )


def parse_response(head: bytes) -> ResponseHead:
    """Read a response's head, given without the blank line that ends it.

    Raises:
        BadResponseError: it is malformed, or two readers could see its body's end at different
            places.
    """
    status_line, *fields = head.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise BadResponseError(status_line[:80])
    minor, status, reason = match.groups()
    lines: list[bytes] = []
    noted: dict[bytes, list[bytes]] = {}
    for line in fields:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadResponseError(line[:80])
        lower, kind = _kind(field[1])
        if kind is not _Kind.TAKEN or lower in _TAKEN_FROM_REQUESTS:
            lines.append(line)
        if lower in _TAKEN or kind is _Kind.NOTED:
            noted.setdefault(lower, []).append(field[2].strip(b" \t"))
    codings = noted.get(b"transfer-encoding")
    lengths = noted.get(b"content-length")
    if codings and (lengths or len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise BadResponseError(b"transfer-encoding: " + b", ".join(codings)[:80])
    connection = _tokens(noted.get(b"connection", ()))
    try:
        length = None if lengths is None else _length(lengths)
    except ValueError as error:
        raise BadResponseError(str(error)) from error
    return ResponseHead(
        status=int(status),
        reason=reason or b"",
        lines=_without(lines, connection),
        keep_alive=b"keep-alive" in connection if minor == b"0" else b"close" not in connection,
        length=length,
        chunked=bool(codings),
        upgrade=b", ".join(noted.get(b"upgrade", ())) or None,
        request_id=b", ".join(noted.get(b"x-request-id", ())),
    )


def _check_target(
    method: bytes, target: bytes, noted: dict[bytes, list[bytes]], lines: list[bytes], *, old: bool
) -> bytes:
    """Return the request target in origin form, and see to it that there is one Host."""
    hosts = noted.get(b"host", ())
    if method == b"CONNECT" or len(hosts) > 1 or (not hosts and not old):
        raise RefusedError(400)
    if method == b"TRACE":
        raise RefusedError(405)
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    # RFC 9112, section 3.2.2: a server takes the absolute form too, and its host is the true one.
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise RefusedError(400)
    authority, rest = absolute.groups()
    lines[:] = [line for line in lines if line[:5].lower() != b"host:"]
    lines.insert(0, b"Host: " + authority)
    return rest if rest.startswith(b"/") else b"/" + rest


def _request_framing(noted: dict[bytes, list[bytes]], *, old: bool) -> tuple[int, bool]:
    """The body's length, and whether it is chunked instead."""
    lengths = noted.get(b"content-length")
    if b"transfer-encoding" in noted:
        codings = b",".join(noted[b"transfer-encoding"]).lower()
        if lengths or old or not _CODINGS.fullmatch(codings):
            raise RefusedError(400)
        if codings == b"chunked":
            return 0, True
        # Chunked twice, or under another coding, is nonsense; others are only not supported.
        misplaced = b"chunked" in re.split(rb"[ \t]*,[ \t]*", codings)[:-1]
        raise RefusedError(400 if misplaced else 501)
    if lengths is None:
        return 0, False
    try:
        return _length(lengths), False
    except ValueError as error:
        raise RefusedError(400) from error


def _length(values: list[bytes]) -> int:
    """Read Content-Length, which has to come once, as digits."""
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > 18:
        raise ValueError(f"bad Content-Length: {values!r}")
    return int(values[0])


def _tokens(values: list[bytes] | tuple[()]) -> set[bytes]:
    """The words of a comma-separated header, in lower case."""
    return {
        token for value in values for word in value.split(b",") if (token := word.strip().lower())
    }


def _without(lines: list[bytes], connection: set[bytes]) -> list[bytes]:
    """Drop the headers that Connection names (RFC 9110, section 7.6.1)."""
    named = connection - _KEPT - {b"close", b"keep-alive", b"upgrade"}
    if not named:
        return lines
    return [line for line in lines if line.partition(b":")[0].lower() not in named]
