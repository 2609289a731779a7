"""A collector of traces for tests: takes what OTLP's exporters send over HTTP, and keeps it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """One span, as it was sent; `service` and `attributes` as plain text."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    is_failed: bool
    attributes: dict[str, str]


@dataclass
class Collector:
    """What has come."""

    endpoint: str
    spans: list[Span] = field(default_factory=list)
    came: Condition = field(default_factory=Condition)

    def wait_for(self, name: str, seconds: float = 30.0) -> Span:
        """The first span of this name, once it is there."""
        with self.came:
            assert self.came.wait_for(lambda: self.named(name), seconds), f"no {name}"
            return self.named(name)[0]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.came:
            for resource in request.resource_spans:
                about = {one.key: one.value.string_value for one in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans.append(
                            Span(
                                service=about["service.name"],
                                name=span.name,
                                kind=span.kind,
                                trace_id=span.trace_id.hex(),
                                span_id=span.span_id.hex(),
                                parent_id=span.parent_span_id.hex(),
                                is_failed=span.status.code == 2,
                                attributes={
                                    one.key: one.value.string_value or str(one.value.int_value)
                                    for one in span.attributes
                                },
                            )
                        )
            self.came.notify_all()


@contextmanager
def collecting(*, silent: bool = False) -> Iterator[Collector]:
    """A collector that listens on a free port; a silent one answers nothing until its end."""
    ended = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if silent:
                ended.wait()
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            ended.set()
            server.shutdown()
            thread.join()
