"""When an environment is whole, and what is said when it can't be made."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import environments
from tools.environments import Environment, SetupError
from tools.processes import free_port


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """One whose pins ask for nothing, so that it can be built without a network."""
    pins = tmp_path / "pins.txt"
    pins.write_text("")
    return Environment(directory=tmp_path / ".venv", pins=pins)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends pip to an index that doesn't answer."""
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def test_a_built_environment_is_whole_until_something_is_different(
    environment: Environment, tmp_path: Path
) -> None:
    assert not environment.is_whole()
    environments.ensure([environment], tmp_path / "run")
    assert environment.is_whole()
    marker = environment.directory / "marker"
    marker.touch()
    environments.ensure([environment], tmp_path / "run")
    assert marker.exists()  # not built again

    environment.pins.write_text("# other pins\n")
    assert not environment.is_whole()
    environment.pins.write_text("")
    moved = Environment(directory=tmp_path / "moved", pins=environment.pins)
    environment.directory.rename(moved.directory)
    assert not moved.is_whole()


def test_what_an_interrupted_build_left_is_thrown_away(
    environment: Environment, tmp_path: Path
) -> None:
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)
    assert not environment.is_whole()
    left = environment.directory / "half"
    left.touch()
    environments.ensure([environment], tmp_path / "run")
    assert environment.is_whole()
    assert not left.exists()


@pytest.mark.usefixtures("nowhere")
def test_without_network_it_is_one_line_and_nothing_counts_as_whole(
    environment: Environment, tmp_path: Path
) -> None:
    environment.pins.write_text(f"structlog==26.1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(SetupError, match=r"^no network: \.venv can't be set up") as error:
        environments.ensure([environment], tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not environment.is_whole()


def test_a_wrong_hash_is_shown_with_the_end_of_pips_log(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "nothing-1.0-py3-none-any.whl").write_bytes(b"not what was pinned")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    environment.pins.write_text(f"nothing==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(SetupError, match="DO NOT MATCH THE HASHES"):
        environments.ensure([environment], tmp_path / "run")
    assert not environment.is_whole()


def test_two_at_once_build_it_once(environment: Environment, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tools import environments as e;"
        "e.ensure([e.Environment(Path(sys.argv[1]), Path(sys.argv[2]))], Path(sys.argv[3]))"
    )
    command = [sys.executable, "-c", code, str(environment.directory), str(environment.pins)]
    command.append(str(tmp_path / "run"))
    both = [
        subprocess.Popen(command, cwd=environments.ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = ""
    for process in both:
        said += process.communicate()[1]
        assert process.returncode == 0
    assert said.count(".venv: creating") == 1
    assert environment.is_whole()
