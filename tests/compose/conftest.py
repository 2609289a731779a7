"""One suite in containers for all tests here, and the README's walk through it."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compose.browser import PageServer
from tests.compose.running import LONG_RUNNING, Compose, run, running
from tests.e2e.test_journey import walk
from tools.environments import ROOT


@pytest.fixture(scope="session")
def page_server() -> Iterator[PageServer]:
    """Serves the page of the browser's tests: there before a suite is told its origin."""
    with PageServer() as server:
        yield server


@pytest.fixture(scope="session")
def compose(page_server: PageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The suite in containers, one for the run; mark what uses it with `compose`."""
    revision = os.environ.get("OLD_REVISION")
    root = ROOT if revision is None else checkout(revision, tmp_path_factory.mktemp("old"))
    with running(root, page_server.origin) as compose:
        yield compose


def checkout(revision: str, target: Path) -> Path:
    """The sources of a revision, in a directory of their own."""
    archive = subprocess.check_output(["git", "archive", revision], cwd=ROOT)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(target, filter="data")
    return target


@dataclass(frozen=True)
class Walked:
    """What the README's walk printed, and what was logged up to its end.

    Attributes:
        logs: of all containers together; those that ended are among them.
        lines: by the service.
    """

    script: str
    printed: str
    logs: str
    lines: dict[str, list[str]]


@pytest.fixture(scope="session")
def walked(compose: Compose, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """The walk, once: its people can register only once, and containers that go take their logs."""
    folder = tmp_path_factory.mktemp("walk")
    suite = folder / "suite.json"
    suite.write_text(compose.suite_json())
    script = walk((ROOT / "README.md").read_text())
    bash = ("bash", "-eu", "-o", "pipefail", "-c", script)
    printed = run(*bash, cwd=folder, SUITE=compose.gateway, SUITE_JSON=str(suite))
    lines = {name: list(compose.lines(name)) for name in LONG_RUNNING}
    return Walked(script, printed, compose("logs", "--no-color"), lines)
