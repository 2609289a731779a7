"""One JSON line an event on stdout: never a raw path, an address, a token or a body.

Each line has `time` (RFC 3339, UTC), `level`, `event`, `service`, `version` and `instance`, and
what belongs to a request has its `request_id` and `trace_id` too.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NAMES: Final = {"exception": "error", "warn": "warning"}

_format_exception = structlog.processors.format_exc_info
# Made once: json.dumps with options makes an encoder for every line.
encode: Final = json.JSONEncoder(default=repr, separators=(",", ":")).encode


def now() -> str:
    """The moment, as every line has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def no_names() -> Mapping[str, str]:
    """What is to be logged of the request that is served: nothing."""
    return {}


def configure_logging(
    *,
    service: str,
    version: str,
    instance: str,
    level: str = "info",
    names: Callable[[], Mapping[str, str]] = no_names,
    harmless: tuple[type[BaseException], ...] = (),
) -> None:
    """Sends structlog's events and the standard library's warnings to stdout as JSON lines.

    Args:
        names: gives the names of the request being served, for each line.
        harmless: exceptions that a library logs as errors and that are no failure of ours: what
            clients send. Only their kind is logged, for their text quotes it.
    """
    fixed = {"service": service, "version": version, "instance": instance}

    def complete(
        _logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        # One step instead of structlog's several: a request's line is on every request's path.
        event["level"] = _NAMES.get(method, method)
        event["time"] = now()
        event.update(fixed)
        event.update(names())
        return _format_exception(None, method, event) if "exc_info" in event else event

    structlog.configure(
        processors=[complete, lambda _logger, _method, event: encode(event)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog(harmless)]
    root.setLevel(logging.WARNING)


class _ToStructlog(logging.Handler):
    """The standard library's records (aiohttp's, asyncio's, botocore's) as events of ours."""

    def __init__(self, harmless: tuple[type[BaseException], ...]) -> None:
        super().__init__()
        self._harmless = harmless

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, self._harmless):
            log.info("not HTTP", reason=type(error).__name__)
            return
        method = log.error if record.levelno >= logging.ERROR else log.warning
        # %-formatted messages of libraries; an exception goes along where there is one.
        method("library", logger=record.name, message=record.getMessage(), exc_info=record.exc_info)
