"""What every test may use: servers of the run's own, reported seeds, a list of what was not run."""

from __future__ import annotations

import os
import random
import secrets
import zoneinfo
from collections.abc import Iterator

import hypothesis
import pytest

from tools import environments
from tools.emulator import Emulator
from tools.mysql import MySQLServer, find_server

IN_CI = os.environ.get("CI") == "true"
SEED = int(os.environ.get("TEST_SEED", secrets.randbelow(2**32)))
NOT_RUN = pytest.StashKey[list[str]]()

# A person's own AWS account, and a proxy on the way to 127.0.0.1, have no place in a test.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

# Zone data comes from the tzdata package, as in the services: the system's may be years old.
zoneinfo.reset_tzpath(())

# No deadlines: on a busy machine the timing of a single example says nothing.
hypothesis.settings.register_profile("dev", print_blob=True, deadline=None)
hypothesis.settings.register_profile("ci", print_blob=True, deadline=None, max_examples=200)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOT_RUN] = []
    if config.option.hypothesis_seed is None:
        # Before Hypothesis reads its options: with the reported seed its examples come again.
        config.option.hypothesis_seed = str(SEED)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {SEED} (TEST_SEED={SEED} repeats the run, Hypothesis's examples included)"


@pytest.fixture(autouse=True)
def _seeded_random() -> None:
    """Each test begins with the run's seed, whichever tests ran before it."""
    random.seed(SEED)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if find_server() is not None:
        return
    for item in items:
        if item.get_closest_marker("mysql") is not None:
            config.stash[NOT_RUN].append(item.nodeid)
            item.add_marker(pytest.mark.skip(reason="no mysqld or mariadbd is installed"))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    not_run = config.stash[NOT_RUN]
    if not_run:
        terminalreporter.section("NOT RUN: these need mysqld or mariadbd, and none is installed")
        for name in not_run:
            terminalreporter.line(name)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if IN_CI and exitstatus == pytest.ExitCode.OK and session.config.stash[NOT_RUN]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def ministack() -> Iterator[str]:
    """The address of a MiniStack of this run's own; tables and buckets need names of their own."""
    environment = environments.emulator()
    environments.ensure([environment])
    with Emulator(environment.python) as emulator:
        yield emulator.url


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySQLServer]:
    """A MySQL or MariaDB server of this run's own; mark tests that use it with `mysql`."""
    program = find_server()
    assert program is not None, "a test that uses mysql_server has no `mysql` mark"
    with MySQLServer(program) as server:
        yield server
