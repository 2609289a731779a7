"""What libraries log goes out as events of ours, and nothing of what a client sent."""

import json
import subprocess
import sys

import pytest

# In a process of its own: logging is configured once a process, for good.
PROGRAM = """
import logging
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, BadHttpMethod
from servicekit.logging import configure_logging

configure_logging(service="users", version="1", instance="users-1", level="info")
try:
    raise {error}
except Exception:
    logging.getLogger("aiohttp.server").exception("Error handling request from 10.1.2.3")
"""


def log_of(error: str) -> dict[str, object]:
    program = PROGRAM.format(error=error)
    run = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    line: dict[str, object] = json.loads(run.stdout)
    return line


@pytest.mark.parametrize("kind", ["BadHttpMethod", "BadHttpMessage", "web.RequestPayloadError"])
def test_what_is_not_http_is_no_error_and_is_not_quoted(kind: str) -> None:
    line = log_of(f"{kind}('GET /secret')")
    assert (line["event"], line["level"]) == ("not HTTP", "info")
    assert line["reason"] == kind.removeprefix("web.")
    assert "secret" not in str(line)
    assert "10.1.2.3" not in str(line)


def test_a_failure_of_a_library_is_an_error_with_its_traceback_and_is_not_quoted() -> None:
    line = log_of("RuntimeError('the password is hunter2')")
    assert (line["event"], line["level"]) == ("library", "error")
    assert str(line["exception"]).splitlines()[-1] == "RuntimeError"
    assert "hunter2" not in str(line)
