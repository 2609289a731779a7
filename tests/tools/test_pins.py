"""What is released is what is tested: each deployable's pins are those of the development set."""

import tomllib
from pathlib import Path

import pytest

from tools.environments import PACKAGES, ROOT
from tools.pins import DEPLOYABLES, normalize, outside_requirements, pinned

DEVELOPMENT = set(pinned(ROOT / "requirements" / "dev.txt"))


@pytest.mark.parametrize("deployable", DEPLOYABLES)
def test_a_deployables_pins_are_among_the_development_pins(deployable: str) -> None:
    pins = set(pinned(ROOT / deployable / "requirements.txt"))
    assert len(pins) >= 5
    # Without the markers: they only say on which systems, which may be fewer in a larger set.
    versions = {(name, version.partition(";")[0].strip()) for name, version in DEVELOPMENT}
    assert {(name, version.partition(";")[0].strip()) for name, version in pins} <= versions


@pytest.mark.parametrize("deployable", DEPLOYABLES)
def test_a_deployables_pins_cover_its_requirements(deployable: str) -> None:
    needed = outside_requirements(ROOT / deployable)
    names = {name for name, _ in pinned(ROOT / deployable / "requirements.txt")}
    assert {normalize(requirement_name(requirement)) for requirement in needed} <= names


@pytest.mark.parametrize(
    "requirements",
    [
        *sorted((ROOT / "requirements").glob("*.txt")),
        *(ROOT / deployable / "requirements.txt" for deployable in DEPLOYABLES),
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_pin_has_hashes(requirements: Path) -> None:
    blocks = requirements.read_text().replace("\\\n", " ").splitlines()
    pins = [block for block in blocks if "==" in block and not block.lstrip().startswith("#")]
    assert pins
    assert all("--hash=sha256:" in pin for pin in pins)


def test_local_libraries_stand_for_what_they_need() -> None:
    local = {
        normalize(tomllib.loads((ROOT / package / "pyproject.toml").read_text())["project"]["name"])
        for package in PACKAGES
    }
    names = {
        normalize(requirement_name(requirement))
        for requirement in outside_requirements(ROOT / "services" / "users")
    }
    assert "aiohttp" in names  # by way of servicekit
    assert not names & local


def test_extras_of_a_local_library_count(tmp_path: Path) -> None:
    root = make_packages(
        tmp_path,
        kit='dependencies = ["base>=1"]\noptional-dependencies = {cloud = ["store==2"]}',
        app='dependencies = ["kit[cloud]", "web"]',
    )
    assert outside_requirements(root / "gateway", root) == ["base>=1", "store==2", "web"]


def requirement_name(requirement: str) -> str:
    for end, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:end]
    return requirement


def make_packages(root: Path, *, kit: str, app: str) -> Path:
    for package in PACKAGES:
        name = {"libs/servicekit": "kit", "gateway": "app"}.get(package, package.rpartition("/")[2])
        (root / package).mkdir(parents=True)
        rest = {"kit": kit, "app": app}.get(name, "")
        (root / package / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n{rest}\n')
    return root
