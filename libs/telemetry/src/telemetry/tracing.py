"""Traces of requests through all processes: off, unless a collector is named.

`OTEL_EXPORTER_OTLP_ENDPOINT` turns them on, and OpenTelemetry's other variables say the rest
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). Where they are
off, nothing of OpenTelemetry is imported: it takes 15 MiB, and a span that goes nowhere 10 µs.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

Attributes = Mapping[str, str | int]
Kind = Literal["server", "client"]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class BadEndpointError(ValueError):
    """A variable that names the collector holds no http or https URL."""


class Span(Protocol):
    """A step of a request, while it is taken."""

    @property
    def traceparent(self) -> str:
        """What the next process is told, so that its spans come under this one."""

    def set(self, name: str, value: str | int) -> None:
        """Adds an attribute, named by OpenTelemetry's semantic conventions."""

    def fail(self, kind: str) -> None:
        """Marks the step as failed. `kind` is a status, a code or an exception's name."""


class Tracing(Protocol):
    """Makes the spans of one process."""

    def span(
        self,
        kind: Kind,
        name: str,
        attributes: Attributes,
        *,
        traceparent: str = "",
        trace_id: str | None = None,
    ) -> AbstractContextManager[Span]:
        """A step under the one that is being taken, which it is itself while the context lives.

        An exception that passes marks it as failed.

        Args:
            name: of few possible ones: a route, an operation; never a path.
            traceparent: of the step in another process that this one comes under.
            trace_id: what a trace that begins here is called; None for a name of its own.
        """


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment names a collector. Raises BadEndpointError."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    named = {name: environment[name] for name in _ENDPOINTS if environment.get(name)}
    for name, text in named.items():
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            # The exporter would start all the same, and lose every span without saying where.
            raise BadEndpointError(f"{name}: not an http or https URL")
    return bool(named)


@contextmanager
def open_tracing(*, service: str, version: str, instance: str) -> Iterator[Tracing | None]:
    """The process's tracing, None where it is off. At its end, what is left is sent, if it is soon.

    Raises:
        BadEndpointError: the collector's address is none.
    """
    if not is_wanted(os.environ):
        yield None
        return
    from telemetry.otel import open_opentelemetry

    with open_opentelemetry(service=service, version=version, instance=instance) as tracing:
        yield tracing
