"""What libraries log goes out as events of ours, and nothing of what a client sent."""

import json
import subprocess
import sys

import pytest

# In a process of its own: logging is configured once a process, for good.
CONFIGURE = """
from servicekit.runner import NO_HTTP
from telemetry.logs import configure_logging
configure_logging(service="users", version="1", instance="users-1", harmless=NO_HTTP)
"""
RAISE = """
import logging
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, BadHttpMethod
try:
    raise {error}
except Exception:
    logging.getLogger("aiohttp.server").exception("Error handling request from %s", "10.1.2.3")
"""


def line_of(program: str) -> dict[str, object]:
    """The one line that a program logs."""
    run = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", CONFIGURE + program], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    line: dict[str, object] = json.loads(run.stdout)
    return line


def log_of(error: str) -> dict[str, object]:
    return line_of(RAISE.format(error=error))


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
    assert line["message"] == "Error handling request from %s"
    assert "hunter2" not in str(line)
    assert "10.1.2.3" not in str(line)


NEVER_RETRIEVED = """
import asyncio, gc

async def fail(password):
    raise ValueError(password)

async def main():
    task = asyncio.create_task(fail("hunter2"))
    await asyncio.wait([task])
    del task
    gc.collect()

asyncio.run(main())
"""
IN_A_CALLBACK = """
import asyncio

def fail(password):
    raise ValueError(password)

async def main():
    asyncio.get_running_loop().call_soon(fail, "hunter2")
    await asyncio.sleep(0)

{run}(main())
"""


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (NEVER_RETRIEVED, "Task exception was never retrieved"),
        (IN_A_CALLBACK.format(run="asyncio.run"), "Exception in callback fail"),
        (IN_A_CALLBACK.format(run="import uvloop; uvloop.run"), "Exception in callback"),
    ],
    ids=["never retrieved", "callback", "callback of uvloop"],
)
def test_a_failure_of_a_task_is_told_without_its_arguments(program: str, message: str) -> None:
    line = line_of(program)
    assert (line["event"], line["logger"], line["message"]) == ("library", "asyncio", message)
    assert str(line["exception"]).splitlines()[-1] == "ValueError"
    assert "hunter2" not in str(line)


def test_a_message_that_comes_filled_in_is_told_by_its_place() -> None:
    line = line_of("""
import logging
name = "Ada Lovelace"
def refuse():
    logging.getLogger("botocore.hooks").warning(f"no access for {name}")
refuse()
""")
    assert (line["logger"], line["message"]) == ("botocore.hooks", "")
    assert str(line["place"]).partition(":")[0] == "<string>.refuse"
    assert "Ada" not in str(line)


def test_what_the_verifier_says_of_its_key_set_is_told_whole() -> None:
    line = line_of("""
import logging
logging.getLogger("jwtverify.keys").warning("key set at %s not fetched: %s", "http://a", "late")
""")
    assert line["message"] == "key set at http://a not fetched: late"
    assert line["level"] == "warning"


THREAD = """
import threading
def fail():
    raise ValueError("hunter2")
thread = threading.Thread(target=fail, name="hunter2")
thread.start()
thread.join()
"""
DESTRUCTOR = """
class Broken:
    def __del__(self):
        raise ValueError("hunter2")
Broken()
"""


@pytest.mark.parametrize(
    ("program", "event"),
    [
        ('password = "hunter2"; raise ValueError(password)', "uncaught"),
        (THREAD, "uncaught"),
        (DESTRUCTOR, "unraisable"),
    ],
    ids=["main", "thread", "destructor"],
)
def test_an_exception_that_nobody_catches_is_an_event_too(program: str, event: str) -> None:
    line = line_of(program)
    assert (line["event"], line["level"], line["service"]) == (event, "error", "users")
    assert str(line["exception"]).splitlines()[-1] == "ValueError"
    assert "hunter2" not in str(line)


def test_a_warning_is_an_event_too() -> None:
    line = line_of("\nimport warnings; warnings.warn('hunter2', UserWarning)")
    assert (line["event"], line["level"], line["kind"]) == ("warned", "warning", "UserWarning")
    assert line["place"] == "<string>:6"
    assert "hunter2" not in str(line)
