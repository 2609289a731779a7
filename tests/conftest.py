"""What every test may use: servers of the run's own, reported seeds, a list of what was not run."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

from tests.compose.browser import find_browser
from tools import environments
from tools.emulator import Emulator
from tools.mysql import MySQLServer, find_server

IN_CI = os.environ.get("CI") == "true"
# Also for the lanes, which are processes of this one.
SEED = int(os.environ.setdefault("TEST_SEED", str(secrets.randbelow(2**32))))
TESTS = Path(__file__).parent
LONG = ("compose", "e2e", "users")
NOT_RUN = pytest.StashKey[dict[str, list[str]]]()

# What a mark needs, and whether it is there.
NEEDS: dict[str, tuple[str, Callable[[], bool]]] = {
    "mysql": ("mysqld or mariadbd, and none is installed", lambda: find_server() is not None),
    "compose": (
        "a Docker engine, and COMPOSE_TEST=1 to use it",
        lambda: os.environ.get("COMPOSE_TEST") == "1",
    ),
    "browser": ("Chromium or Chrome, and neither is on PATH", lambda: find_browser() is not None),
    "prometheus": (
        "prometheus and promtool, and they aren't installed",
        lambda: all(map(shutil.which, ("prometheus", "promtool"))),
    ),
}
# Programs can be installed anywhere. An engine can't, so .ci/run says where there is one.
REQUIRED_IN_CI = ("mysql", "prometheus")

# A person's own AWS account, and a proxy on the way to 127.0.0.1, have no place in a test.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

# Zone data comes from the tzdata package, as in the services: the system's may be years old.
zoneinfo.reset_tzpath(())

# A shell starts what runs in its background with SIGINT ignored, nohup with SIGHUP, and so would
# be whatever a test starts: what is handled here is as usual there.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, lambda *_: None),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# No deadlines: on a busy machine the timing of a single example says nothing.
hypothesis.settings.register_profile("dev", print_blob=True, deadline=None)
hypothesis.settings.register_profile("ci", print_blob=True, deadline=None, max_examples=200)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOT_RUN] = {}
    if config.option.hypothesis_seed is None:
        # Before Hypothesis reads its options: with the reported seed its examples come again.
        config.option.hypothesis_seed = str(SEED)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {SEED} (TEST_SEED={SEED} repeats the run, Hypothesis's examples included)"


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """structlog's own default draws each traceback with all locals, which takes a second."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ]
    )


@pytest.fixture(autouse=True)
def _seeded_random() -> None:
    """Each test begins with the run's seed, whichever tests ran before it."""
    random.seed(SEED)


class Folders(LoadScopeScheduling):  # type: ignore[misc] # it is untyped
    """A folder is one lane's, with the servers that its tests share."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("/")[1]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Folders(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # What takes longest comes first, so that no lane is left with it at the end.
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] not in LONG)
    for mark, (needed, is_there) in NEEDS.items():
        if is_there():
            continue
        for item in items:
            if item.get_closest_marker(mark) is not None:
                config.stash[NOT_RUN].setdefault(mark, []).append(item.nodeid)
                item.add_marker(pytest.mark.skip(reason=f"needs {needed}"))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for mark, names in config.stash[NOT_RUN].items():
        terminalreporter.section(f"NOT RUN: these need {NEEDS[mark][0]}")
        for name in names:
            terminalreporter.line(name)


def pytest_testnodedown(node: Any) -> None:
    """Every lane has collected all tests, and knows what it can't run."""
    if (config := node.config).stash[NOT_RUN] == {}:
        config.stash[NOT_RUN] = getattr(node, "workeroutput", {}).get("not_run", {})


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    not_run = session.config.stash[NOT_RUN]
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["not_run"] = not_run
    if IN_CI and exitstatus == pytest.ExitCode.OK and any(map(not_run.get, REQUIRED_IN_CI)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def ministack() -> Iterator[str]:
    """The address of a MiniStack of this run's own; tables and buckets need names of their own."""
    environment = environments.emulator()
    environments.ensure([environment])
    with Emulator(environment.python, "dynamodb,s3,ses") as emulator:
        yield emulator.url


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySQLServer]:
    """A MySQL or MariaDB server of this run's own; mark tests that use it with `mysql`."""
    program = find_server()
    assert program is not None, "a test that uses mysql_server has no `mysql` mark"
    with MySQLServer(program) as server:
        yield server
