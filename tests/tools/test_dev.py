"""./dev as one types it: finding Python, the list of commands, what it says when it can't."""

import os
import subprocess
from pathlib import Path

import pytest

from tools import dev
from tools.environments import ROOT


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [ROOT / "dev", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_help_lists_every_command_with_what_it_does() -> None:
    lines = [line.split(maxsplit=1) for line in run("help").stdout.splitlines()]
    for name, command in dev.COMMANDS.items():
        assert [name, command.summary] in lines


def test_without_a_command_it_prints_the_list() -> None:
    assert run().stdout == run("help").stdout == dev.usage() + "\n"


def test_a_command_that_is_not_there_is_one_line() -> None:
    result = run("deploy-to-the-moon")
    assert result.returncode == 2
    assert result.stderr == "dev: there is no command 'deploy-to-the-moon': ./dev help lists them\n"


def test_it_runs_from_another_directory(tmp_path: Path) -> None:
    result = subprocess.run(
        [ROOT / "dev", "help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout == dev.usage() + "\n"


def test_an_old_python_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    program(tmp_path / "python3", "echo 3.9")
    for tool in ("dirname", "sh"):
        (tmp_path / tool).symlink_to(Path("/usr/bin") / tool)
    result = run("help", PATH=str(tmp_path))
    assert result.returncode == 2
    assert result.stderr == (
        "dev: Python 3.11 or newer is needed, and python3 is 3.9: install one, "
        "or set PYTHON=/path/to/python3.11\n"
    )


def test_a_newer_python_beside_an_old_one_is_found(tmp_path: Path) -> None:
    program(tmp_path / "python3", "echo 3.9")
    program(tmp_path / "python3.12", 'case $1 in -c) echo 3.12 ;; *) echo "runs $*" ;; esac')
    for tool in ("dirname", "sh"):
        (tmp_path / tool).symlink_to(Path("/usr/bin") / tool)
    assert run("help", PATH=str(tmp_path)).stdout == "runs -m tools.dev help\n"


@pytest.mark.parametrize(
    ("text", "found"), [("echo 3.10", "3.10"), ("exit 127", "no Python"), ("echo 2.7", "2.7")]
)
def test_the_named_python_is_taken_or_refused(tmp_path: Path, text: str, found: str) -> None:
    python = program(tmp_path / "my python", text)
    result = run("help", PYTHON=str(python))
    assert result.returncode == 2
    assert result.stderr.startswith(f"dev: PYTHON={python} is {found}, but 3.11 or newer is needed")
    assert result.stderr.count("\n") == 1
