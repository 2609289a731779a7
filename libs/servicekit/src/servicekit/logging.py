"""One JSON line an event on stdout: never a raw path, an address, a token or a body."""

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from servicekit.context import current_trace
from servicekit.tracebacks import traceback_of

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NAMES = {"exception": "error", "warn": "warning"}

# Made once: json.dumps with options makes an encoder for every line.
_encode = json.JSONEncoder(default=repr, separators=(",", ":")).encode


def configure_logging(*, service: str, version: str, instance: str, level: str) -> None:
    """Sends structlog's events and the standard library's warnings to stdout as JSON lines."""
    fixed = {"service": service, "version": version, "instance": instance}

    def complete(
        _logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        # One step instead of structlog's several: a request's line is on every request's path.
        event["level"] = _NAMES.get(method, method)
        event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        event.update(fixed)
        trace = current_trace.get()
        if trace is not None:
            event["request_id"] = trace.request_id
            event["trace_id"] = trace.trace_id
        error = _error_of(event.pop("exc_info", None))
        if error is not None:
            event["exception"] = traceback_of(error)
        return event

    structlog.configure(
        processors=[complete, lambda _logger, _method, event: _encode(event)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    root.setLevel(logging.WARNING)


def _error_of(exc_info: object) -> BaseException | None:
    """The exception that an event is about, in each of the forms in which one is given."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    elif exc_info is True:
        exc_info = sys.exc_info()[1]
    return exc_info if isinstance(exc_info, BaseException) else None


_NO_HTTP = (HttpProcessingError, web.RequestPayloadError)
# What asyncio reports begins with words of its own; what follows is printed from living objects,
# arguments and exceptions among them.
_own_words = re.compile(r"[A-Za-z ,.!-]*").match
# Its texts are ours, and quote settings only.
_OURS = "jwtverify"


class _ToStructlog(logging.Handler):
    """The standard library's records (aiohttp's, asyncio's, botocore's) as events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        error = _error_of(record.exc_info)
        if isinstance(error, _NO_HTTP):
            # The client's fault, and answered: no failure of ours. Its text quotes what was sent.
            log.info("not HTTP", reason=type(error).__name__)
            return
        method = log.error if record.levelno >= logging.ERROR else log.warning
        method(
            "library",
            logger=record.name,
            place=f"{record.module}.{record.funcName}:{record.lineno}",
            message=_sentence(record),
            exc_info=error,
        )


def _sentence(record: logging.LogRecord) -> str:
    """What a library says, without the values that it says it of: they may be anybody's.

    A message to be filled in is given as it is. One that comes filled in can't be told from a
    person's name, so nothing is said of it: its place tells which it is.
    """
    text = str(record.msg)
    if record.name.partition(".")[0] == _OURS:
        return record.getMessage()
    if record.args:
        return text
    found = _own_words(text) if record.name == "asyncio" else None
    return found[0].strip() if found is not None else ""
