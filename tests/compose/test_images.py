"""What the built images hold."""

import json
import re

import pytest

from tests.compose.running import IMAGES, Compose
from tools.environments import ROOT
from tools.pins import normalize, pinned

pytestmark = pytest.mark.compose

MIB = 1024 * 1024
INSTALLED = (
    "import json; from importlib.metadata import distributions as d;"
    " print(json.dumps({one.name: one.version for one in d()}))"
)
BASE = "python:3.13-slim"
by_image = pytest.mark.parametrize("name", IMAGES)


@by_image
def test_an_image_is_small_beside_its_base(compose: Compose, name: str) -> None:
    added = compose.image_bytes(f"{compose.project}-{name}") - compose.image_bytes(BASE)
    assert added <= 160 * MIB, f"{added / MIB:.0f} MiB"


@by_image
def test_an_image_has_what_is_pinned_and_nothing_else(compose: Compose, name: str) -> None:
    folder = ROOT / name if name == "gateway" else ROOT / "services" / name
    wanted = {
        package: version.partition(" ")[0]
        for package, version in pinned(folder / "requirements.txt")
    }
    printed = compose("exec", "-T", name, "python", "-c", INSTALLED)
    installed = {normalize(package): version for package, version in json.loads(printed).items()}
    assert installed.items() <= wanted.items()
    # Left out is only what another system or an older Python would need.
    left_out = (folder / "requirements.txt").read_text()
    for package in wanted.keys() - installed.keys():
        assert re.search(rf"^{package}==\S+ ;", left_out, re.M | re.I), package


@by_image
def test_nothing_to_compile_with_is_there(compose: Compose, name: str) -> None:
    look = "import shutil; print([t for t in ('cc', 'gcc', 'make', 'git') if shutil.which(t)])"
    assert compose("exec", "-T", name, "python", "-c", look).strip() == "[]"
