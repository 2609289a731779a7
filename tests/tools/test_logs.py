"""./dev logs and ./dev status, without a suite."""

from pathlib import Path

import pytest

from tools import logs, status
from tools.logs import Tail
from tools.rundir import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path)
    run.create()
    for name in ("users-1", "users-2", "gateway"):
        (run.logs / f"{name}.log").write_text(f"{name} listens\n")
    return run


@pytest.mark.parametrize(
    ("wanted", "printed"),
    [
        (["users-2"], "users-2 listens\n"),
        (["users"], "users-1  users-1 listens\nusers-2  users-2 listens\n"),
        ([], "gateway  gateway listens\nusers-1  users-1 listens\nusers-2  users-2 listens\n"),
    ],
)
def test_logs_of_an_instance_a_service_or_all(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], wanted: list[str], printed: str
) -> None:
    assert logs.main(["--run-dir", str(run.path), *wanted]) == 0
    assert capsys.readouterr().out == printed


def test_an_unknown_name_is_one_line_with_the_known_ones(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logs.main(["--run-dir", str(run.path), "billing"]) == 2
    assert capsys.readouterr().err == (
        "dev: there is no log of billing (gateway, users-1, users-2)\n"
    )


def test_following_gives_whole_lines_once_and_a_new_file_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    tail = Tail(path, "")
    assert tail.lines() == []
    path.write_text("one\ntw")
    assert tail.lines() == ["one"]
    with path.open("a") as file:
        file.write("o\n")
    assert tail.lines() == ["two"]
    assert tail.lines() == []
    path.rename(tmp_path / "a.log.1")
    path.write_text("three\n")
    assert tail.lines() == ["three"]


def test_status_where_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["--run-dir", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().out == "the suite is not running: ./dev up starts it\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (172800, "2 d")],
)
def test_uptime_is_rounded_to_one_unit(seconds: float, text: str) -> None:
    assert status.uptime(seconds) == text
