import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.running import Compose, running
from tools.environments import ROOT


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The suite in containers, one for the run; mark what uses it with `compose`."""
    revision = os.environ.get("OLD_REVISION")
    root = ROOT if revision is None else checkout(revision, tmp_path_factory.mktemp("old"))
    with running(root) as compose:
        yield compose


def checkout(revision: str, target: Path) -> Path:
    """The sources of a revision, in a directory of their own."""
    archive = subprocess.check_output(["git", "archive", revision], cwd=ROOT)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(target, filter="data")
    return target
