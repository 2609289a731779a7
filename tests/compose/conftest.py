from collections.abc import Iterator

import pytest

from tests.compose.browser import PageServer
from tests.compose.running import Compose, running


@pytest.fixture(scope="session")
def page_server() -> Iterator[PageServer]:
    """Serves the page of the browser's tests: there before a suite is told its origin."""
    with PageServer() as server:
        yield server


@pytest.fixture(scope="session")
def compose(page_server: PageServer) -> Iterator[Compose]:
    """The suite in containers, one for the run; mark what uses it with `compose`."""
    with running(page_server.origin) as compose:
        yield compose
