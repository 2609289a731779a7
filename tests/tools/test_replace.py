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
from tools.replace.replacement import labels

# As `python -m tools.replace` does, but with the locks of a directory of the test's own.
PROGRAM = (
    "import sys; from pathlib import Path; from tools.replace.__main__ import main;"
    " sys.exit(main(sys.argv[2:], Path(sys.argv[1])))"
)
NOT_SETTLED = (
    "the newer ones serve; docker stop those of the older that are left (docker compose ps),"
    " and run this again"
)


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
        self._run = directory / "run"
        self._pipe = directory / "pipe"
        os.mkfifo(self._pipe)
        self.change(**docker_standin.beginning())

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._file.read_text())
        return state

    def change(self, **members: Any) -> None:
        before = self.state if self._file.exists() else {}
        self._file.write_text(json.dumps({**before, **members}))

    def hang_at(self, command: str) -> None:
        self.change(hangs={command: str(self._pipe)})

    def wait_until_it_hangs(self) -> str:
        """The command that hangs."""
        return self._pipe.read_text()

    def names(self, service: str) -> list[str]:
        rows = self.state["containers"]
        return [row["Name"][1:] for row in rows if docker_standin.service_of(row) == service]

    def popen(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self._run), *arguments],
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["build", "exec"])
def test_who_is_impatient_gets_the_old_one_back(
    engine: Engine, command: str, number: signal.Signals
) -> None:
    engine.hang_at(command)
    before = images(engine)
    with engine.popen("users", "--project=suite") as process:
        engine.wait_until_it_hangs()
        process.send_signal(number)
        said, error = process.communicate()
    assert process.returncode == 128 + number
    assert "going back to suite-users-1" in said
    assert error == f"dev: interrupted by {number.name}\n"
    assert images(engine) == before
    assert engine.state["named"] == "old"


def test_what_is_made_while_compose_is_interrupted_is_removed(engine: Engine) -> None:
    engine.hang_at("create")
    before = images(engine)
    with engine.popen("users", "--project=suite") as process:
        engine.wait_until_it_hangs()
        made = docker_standin.container("users", 2, image="new", running=False)
        engine.change(containers=[*engine.state["containers"], made], hangs={})
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert images(engine) == before


def test_a_terminal_that_is_closed_does_not_stop_it_halfway(engine: Engine) -> None:
    engine.hang_at("exec")
    before = images(engine)
    with engine.popen("users", "--project=suite") as process:
        engine.wait_until_it_hangs()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait() == 128 + signal.SIGHUP
    assert images(engine) == before


def test_a_signal_that_is_ignored_goes_on_being_ignored() -> None:
    lines = (
        "import signal; from tools.replace.steps import raise_on_signals",
        "signal.signal(signal.SIGHUP, signal.SIG_IGN); raise_on_signals()",  # as under nohup
        "assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN",
        "assert callable(signal.getsignal(signal.SIGTERM))",
    )
    subprocess.run([sys.executable, "-c", "; ".join(lines)], cwd=ROOT, check=True)


def test_containers_that_it_did_not_start_are_left_alone(engine: Engine) -> None:
    engine.hang_at("exec")
    before = images(engine)
    with engine.popen("users", "--project=suite") as process:
        engine.wait_until_it_hangs()
        anothers = docker_standin.container("users", 3)
        engine.change(containers=[*engine.state["containers"], anothers], hangs={})
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert images(engine) == {**before, "suite-users-3": "old"}


def test_as_many_as_were_looked_at_are_made_beside_all_that_run(engine: Engine) -> None:
    engine.change(joins={"run": docker_standin.container("users", 2)}, sick=True)
    before = images(engine)
    result = engine.replace("users", "--wait=0")
    assert "started suite-users-3 beside suite-users-1\n" in result.stdout
    assert images(engine) == {**before, "suite-users-2": "old"}


def test_one_that_has_ended_keeps_its_log_where_the_build_fails(engine: Engine) -> None:
    ended = docker_standin.container("users", 2, running=False)
    engine.change(containers=[*engine.state["containers"], ended], faults={"build": "no"})
    before = images(engine)
    assert engine.replace("users").returncode == 2
    assert images(engine) == before


def test_of_two_at_once_the_second_does_nothing(engine: Engine) -> None:
    engine.hang_at("build")
    with engine.popen("users", "--project=suite") as first:
        engine.wait_until_it_hangs()
        engine.change(hangs={})
        second = engine.replace("users")
        other = engine.replace("appointments")
        first.send_signal(signal.SIGTERM)
        first.communicate()
    assert second.returncode == 2
    assert second.stderr.startswith("dev: another replacement is under way, which has /")
    assert (second.stdout, second.stderr.count("\n")) == ("", 1)
    assert other.returncode == 0, other.stderr
    assert engine.replace("users").returncode == 0  # nothing of the first is left


def test_an_unfinished_replacement_is_not_doubled(engine: Engine) -> None:
    newer = docker_standin.container("users", 2, image="sha256:0123456789abcdef")
    newer["State"]["StartedAt"] = "2026-01-02T00:00:00Z"
    engine.change(containers=[newer, *engine.state["containers"]])
    before = images(engine)
    result = engine.replace("users")
    assert result.returncode == 1
    assert result.stderr == (
        "dev: an earlier replacement is unfinished: suite-users-1 of old, then suite-users-2 of"
        " 0123456789ab were started; docker stop those of all images but one, and run this again\n"
    )
    assert "build" not in engine.state["calls"]
    assert images(engine) == before


def test_where_going_back_fails_the_cause_comes_first_and_the_rest_is_done(engine: Engine) -> None:
    engine.change(faults={"exec": "no gateway", "tag": "no tag"})
    before = images(engine)
    result = engine.replace("users")
    assert result.returncode == 2
    cause, failed, by_hand = result.stderr.splitlines()
    assert cause.endswith(": no gateway")
    assert failed == "dev: and going back failed: docker tag old suite-users: no tag"
    assert by_hand == (
        "dev: to go back by hand: docker tag old suite-users; docker rm --force suite-users-2"
    )
    assert images(engine) == before


def test_the_name_is_given_back_though_the_new_ones_do_not_end(engine: Engine) -> None:
    engine.change(faults={"exec": "no gateway", "stop": "no stop"})
    result = engine.replace("users")
    assert result.stderr.splitlines()[1].endswith(": no stop")
    assert engine.state["named"] == "old"
    assert engine.names("users") == ["suite-users-1"]  # it was tried nevertheless


def test_who_is_even_more_impatient_is_told_what_is_left(engine: Engine) -> None:
    engine.change(sick=True)
    engine.hang_at("stop")
    with engine.popen("users", "--project=suite", "--wait=0") as process:
        engine.wait_until_it_hangs()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    assert process.returncode == 1  # that of the cause
    assert error.startswith("dev: suite-users-2 is not healthy")
    assert error.endswith(
        "\ndev: and going back was interrupted by SIGINT\ndev: to go back by hand:"
        " docker tag old suite-users; docker rm --force suite-users-2\n"
    )
    assert engine.state["named"] == "old"


def test_once_the_old_ones_are_ended_there_is_no_way_back(engine: Engine) -> None:
    engine.hang_at("stop")
    with engine.popen("users", "--project=suite") as process:
        engine.wait_until_it_hangs()
        engine.change(hangs={})
        process.send_signal(signal.SIGINT)
        said, error = process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert "going back" not in said
    assert error == f"dev: interrupted by SIGINT\ndev: {NOT_SETTLED}\n"
    assert engine.names("users") == ["suite-users-1", "suite-users-2"]
    assert engine.state["named"] == "new"


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
    assert result.stderr == (
        "dev: suite-gateway-1 changed meanwhile\ndev: the newer ones serve; nothing is left to do\n"
    )
    assert images(engine)["suite-users-init-1"] == "new"


@pytest.mark.parametrize("command", ["stop", "rm"])
def test_what_docker_can_not_do_once_the_old_ones_are_ended_leaves_the_newer(
    engine: Engine, command: str
) -> None:
    engine.change(faults={command: "no space left on device"})
    result = engine.replace("users")
    assert result.returncode == 2
    cause, note = result.stderr.splitlines()
    assert cause.endswith(": no space left on device")
    assert note == f"dev: {NOT_SETTLED}"
    assert images(engine)["suite-users-2"] == engine.state["named"] == "new"


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
