from collections.abc import Iterator

import pytest

from tests.compose.running import Compose, running


@pytest.fixture(scope="session")
def compose() -> Iterator[Compose]:
    """The suite in containers, one for the run; mark what uses it with `compose`."""
    with running() as compose:
        yield compose
