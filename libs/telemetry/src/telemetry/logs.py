"""One JSON line an event on stdout, with what it must tell and nothing that it must not.

Every line has `time`, `level` (debug, info, warning, error), `event`, `service`, `version` and
`instance`; what belongs to a request also its `request_id` and `trace_id`; a request's own line
`route` (method and pattern), `status`, `duration_ms` and `caller` (an id).

No line has an e-mail address, a name, a phone number, a birth date, a reason, a file's name or
content, a password, a token or assertion, a signed URL, an idempotency key, a query string, a path
or a body. So whoever logs gives ids, codes and numbers; and what others make texts of, exceptions,
libraries' messages and warnings, is told by its type, its codes and its place.
"""

import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

import structlog

from telemetry.tracebacks import traceback_of

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NAMES: Final = {"exception": "error", "warn": "warning"}

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
            clients send.
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
        error = _error_of(event.pop("exc_info", None))
        if error is not None:
            event["exception"] = traceback_of(error)
        return event

    structlog.configure(
        processors=[complete, lambda _logger, _method, event: encode(event)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog(harmless)]
    root.setLevel(logging.WARNING)
    # What Python itself would print, with all that an exception or a warning quotes.
    sys.excepthook = _uncaught
    threading.excepthook = lambda failed: _log_failure("uncaught", failed.exc_value)
    sys.unraisablehook = lambda failed: _log_failure("unraisable", failed.exc_value)
    warnings.showwarning = _warned


def _error_of(exc_info: object) -> BaseException | None:
    """The exception that an event is about, in each of the forms in which one is given."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    elif exc_info is True:
        exc_info = sys.exc_info()[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)  # somebody at a terminal, who knows it
    else:
        _log_failure("uncaught", error)


def _log_failure(event: str, error: BaseException | None) -> None:
    structlog.get_logger().error(event, exc_info=error)


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    place = f"{Path(filename).name}:{lineno}"
    structlog.get_logger().warning("warned", kind=category.__name__, place=place)


# What asyncio reports begins with words of its own; what follows is printed from living objects,
# arguments and exceptions among them.
_own_words = re.compile(r"[A-Za-z ,.!-]*").match
# Its texts are ours, and quote settings only.
_OURS = "jwtverify"


class _ToStructlog(logging.Handler):
    """The standard library's records (aiohttp's, asyncio's, botocore's) as events of ours."""

    def __init__(self, harmless: tuple[type[BaseException], ...]) -> None:
        super().__init__()
        self._harmless = harmless

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        error = _error_of(record.exc_info)
        if isinstance(error, self._harmless):
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
