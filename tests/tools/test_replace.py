"""./dev replace with a stand-in of docker; tests/compose/test_replace.py has the real one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.tools import docker_standin
from tools.environments import ROOT
from tools.replace import labels


class Result(NamedTuple):
    """How ./dev replace ended."""

    returncode: int
    stdout: str
    stderr: str


class Engine:
    """What the stand-in keeps, and the command that uses it."""

    def __init__(self, directory: Path) -> None:
        self.programs = directory / "bin"
        self.programs.mkdir()
        docker = self.programs / "docker"
        docker.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.tools.docker_standin "$@"\n')
        docker.chmod(0o755)
        self._file = directory / "engine.json"
        self.change(**docker_standin.beginning())

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._file.read_text())
        return state

    def change(self, **members: Any) -> None:
        before = self.state if self._file.exists() else {}
        self._file.write_text(json.dumps({**before, **members}))

    def names(self, service: str) -> list[str]:
        rows = self.state["containers"]
        return [row["Name"][1:] for row in rows if docker_standin.service_of(row) == service]

    def popen(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tools.replace", *arguments],
            cwd=ROOT,
            env={
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                docker_standin.FILE: str(self._file),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def replace(self, *arguments: str, **environment: str) -> Result:
        with self.popen(*arguments, **environment) as process:
            out, err = process.communicate()
        return Result(process.returncode, out, err)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def images(engine: Engine) -> dict[str, str]:
    return {row["Name"][1:]: row["Image"] for row in engine.state["containers"]}


def test_as_many_new_ones_take_the_place_of_the_old(engine: Engine) -> None:
    second = docker_standin.container("appointments", 2)
    ended = docker_standin.container("appointments", 3, running=False)
    engine.change(containers=[*engine.state["containers"], second, ended])
    result = engine.replace("appointments", "--project=suite")
    assert result.returncode == 0, result.stderr
    assert images(engine) == {
        "suite-users-1": "old",
        "suite-gateway-1": "old",
        "suite-users-init-1": "old",
        "suite-appointments-3": "new",
        "suite-appointments-4": "new",
        # Or the next start would make it anew, and all that depends on it.
        "suite-appointments-init-1": "new",
    }
    did = [line.split("s  ", 1)[1] for line in result.stdout.splitlines()]
    assert did == [
        "built the image of appointments",
        "ran its appointments-init",
        "started suite-appointments-3, suite-appointments-4"
        " beside suite-appointments-1, suite-appointments-2",
        "healthy for the gateway: suite-appointments-3, suite-appointments-4",
        "drained, ended and removed suite-appointments-1, suite-appointments-2",
        "appointments is replaced; 3 other containers are as they were",
    ]


def test_what_serves_ends_only_after_the_gateway_was_asked(engine: Engine) -> None:
    assert engine.replace("users", "--project=suite").returncode == 0
    calls = engine.state["calls"]
    order = [calls.index(call) for call in ("build", "run", "create", "start", "exec", "stop")]
    assert order == sorted(order)


def test_one_that_does_not_get_healthy_is_removed_and_the_old_one_stays(engine: Engine) -> None:
    engine.change(sick=True)
    before = images(engine)
    result = engine.replace("users", "--project=suite", "--wait=0")
    assert result.returncode == 1
    why = "suite-users-2 is not healthy for the gateway after 0 s; what was logged last:"
    assert result.stderr == f"dev: {why}\nlistening\n"
    assert "going back to suite-users-1, which went on serving" in result.stdout
    assert images(engine) == before
    assert engine.state["named"] == "old"


def test_where_none_is_made_the_old_one_stays(engine: Engine) -> None:
    engine.change(full=True)
    before = images(engine)
    result = engine.replace("users", "--project=suite")
    assert result.returncode == 1
    assert result.stderr == "dev: Compose made 0 containers of users beside 1\n"
    assert images(engine) == before


@pytest.mark.parametrize("command", ["build", "run", "create", "start", "exec"])
def test_what_docker_can_not_do_is_one_line_and_nothing_is_changed(
    engine: Engine, command: str
) -> None:
    engine.change(faults={command: "no space left on device"})
    before = images(engine)
    result = engine.replace("users", "--project=suite")
    assert result.returncode == 2
    assert result.stderr.startswith("dev: docker ")
    assert result.stderr.endswith(": no space left on device\n")
    assert result.stderr.count("\n") == 1
    assert images(engine) == before
    assert engine.state["named"] == "old"


def test_without_docker_it_is_one_line(engine: Engine) -> None:
    result = engine.replace("users", PATH=os.devnull)
    assert result.returncode == 2
    assert result.stderr.startswith("dev: docker can't be run: ")
    assert result.stderr.count("\n") == 1


def test_who_is_impatient_gets_the_old_one_back(engine: Engine) -> None:
    engine.change(sick=True)
    before = images(engine)
    with engine.popen("users", "--project=suite") as process:
        assert process.stdout is not None
        while "started suite-users-2" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert (process.returncode, said.count("\n")) == (130, 1)
    assert "going back to suite-users-1" in said
    assert images(engine) == before


def test_a_service_that_does_not_run_is_named(engine: Engine) -> None:
    result = engine.replace("files")
    assert result.returncode == 1
    assert result.stderr == "dev: no files runs: docker compose up --wait starts the suite\n"


def test_the_gateway_can_not_be_replaced_so(engine: Engine) -> None:
    result = engine.replace("gateway")
    assert result.returncode == 2
    assert "invalid choice: 'gateway'" in result.stderr


def test_another_container_that_changed_meanwhile_is_reported(engine: Engine) -> None:
    engine.change(restarts="suite-gateway-1")
    result = engine.replace("users")
    assert result.returncode == 1
    assert result.stderr == "dev: suite-gateway-1 changed meanwhile\n"


def test_the_labels_are_gits_where_there_is_git_and_nobody_said_others(tmp_path: Path) -> None:
    assert labels(tmp_path, {}) == {}
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-C", str(tmp_path))
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert labels(tmp_path, {}) == {}  # nothing is committed
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=one"], check=True)
    subprocess.run([*git, "tag", "v1.2.3"], check=True)
    head = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    assert labels(tmp_path, {}) == {"VERSION": "v1.2.3", "REVISION": head}
    assert labels(tmp_path, {"VERSION": "2"}) == {"REVISION": head}
