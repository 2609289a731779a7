"""./dev up: what it reads, what it keeps, and what it says when it can't start."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tools import credentials
from tools.environments import ROOT
from tools.rundir import RunDirectory, StillAliveError
from tools.up import UsageError, parse_scale


def up(run: RunDirectory, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tools.up", "--run-dir", str(run.path), *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def listener() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        yield port


def test_scale_is_read_per_service() -> None:
    assert parse_scale([]) == {}
    assert parse_scale(["appointments=3", "users=1", "appointments=2"]) == {
        "appointments": 2,
        "users": 1,
    }


@pytest.mark.parametrize(
    "value",
    ["gateway=2", "appointments", "appointments=", "appointments=0", "users=17", "users=-1",
     "users=1.5", "users=²", "=3", ""],
)  # fmt: skip
def test_a_scale_that_can_not_be_is_refused_by_name(value: str) -> None:
    with pytest.raises(UsageError, match=f"^--scale {value}: "):
        parse_scale([value])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--scale", "gateway=2"], "--scale gateway=2: there is no service 'gateway'"),
        (["--port", "70000"], "--port 70000: a port is a number from 0 to 65535"),
        (["--loud"], "unrecognized arguments: --loud"),
    ],
)
def test_a_wrong_argument_is_one_line(run: RunDirectory, arguments: list[str], says: str) -> None:
    result = up(run, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"dev: {says}")
    assert result.stderr.count("\n") == 1
    assert not run.path.exists()


@pytest.mark.parametrize("mode", [[], ["--detach"]])
def test_a_port_in_use_is_one_line_that_says_what_to_do(
    run: RunDirectory, listener: int, mode: list[str]
) -> None:
    result = up(run, "--port", str(listener), *mode)
    assert result.returncode == 2
    assert result.stderr.startswith(f"dev: 127.0.0.1:{listener} is in use by another program")
    assert "./dev up --port " in result.stderr
    assert result.stderr.count("\n") == 1
    assert not run.suite.exists()


def test_a_second_one_says_that_the_suite_runs_already(run: RunDirectory) -> None:
    lock = run.lock_supervisor()
    assert lock is not None
    run.suite.write_text(json.dumps({"gateway": "http://127.0.0.1:8080"}))
    result = up(run, "--port", "0")
    os.close(lock)
    assert result.returncode == 2
    assert result.stderr.startswith("dev: the suite runs already (http://127.0.0.1:8080)")
    assert run.suite.exists()


def test_secrets_are_for_the_owner_only_and_are_kept(run: RunDirectory) -> None:
    run.create()
    first = credentials.ensure(run.secrets, ("appointments",))
    assert stat.S_IMODE(run.secrets.stat().st_mode) == 0o700
    files = sorted(run.secrets.iterdir())
    assert len(files) == 4
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    before = {file: file.read_bytes() for file in files}
    assert credentials.ensure(run.secrets, ("appointments",)) == first
    assert {file: file.read_bytes() for file in run.secrets.iterdir()} == before


def test_no_two_suites_have_the_same_secrets(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        run = RunDirectory(tmp_path / name)
        run.create()
        made.append(credentials.ensure(run.secrets, ("files",)))
    assert made[0].admin_password != made[1].admin_password
    assert made[0].sealing_key != made[1].sealing_key
    assert (
        made[0].service_keys["files"].private.read_bytes()
        != made[1].service_keys["files"].private.read_bytes()
    )


def test_a_fresh_start_leaves_every_lock_where_it_is(run: RunDirectory) -> None:
    run.create()
    locks = {"setup.lock", "children.lock", "replace-suite-users.lock", "supervisor.pid"}
    for name in (*locks, "ports.json"):
        (run.path / name).touch()
    run.wipe()
    assert {entry.name for entry in run.path.iterdir()} == locks


def test_a_services_key_files_are_a_pair(run: RunDirectory) -> None:
    run.create()
    key = credentials.ensure(run.secrets, ("files",)).service_keys["files"]
    private = load_pem_private_key(key.private.read_bytes(), password=None)
    assert private.public_key() == load_pem_public_key(key.public.read_bytes())


def test_fresh_forgets_data_and_secrets_but_keeps_the_locks(run: RunDirectory) -> None:
    lock = run.lock_supervisor()
    assert lock is not None
    run.create()
    run.users_database.write_text("data")
    credentials.ensure(run.secrets, ())
    run.wipe()
    assert [entry.name for entry in run.path.iterdir()] == ["supervisor.pid"]
    assert run.supervisor_pid() == os.getpid()
    os.close(lock)


def test_a_process_id_left_behind_does_not_count(run: RunDirectory) -> None:
    lock = run.lock_supervisor()
    assert lock is not None
    os.close(lock)
    assert run.supervisor.read_text() == f"{os.getpid()}\n"
    assert run.supervisor_pid() is None


def test_what_is_left_of_an_earlier_run_is_ended_before_the_next(run: RunDirectory) -> None:
    run.create()
    children = run.lock_children()
    code = "import time; print('started', flush=True); time.sleep(600)"
    command = [sys.executable, "-S", "-c", code]
    with subprocess.Popen(command, pass_fds=(children,), stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        assert left.stdout.readline() == b"started\n"
        os.close(children)
        run.suite.write_text(
            json.dumps({"processes": [{"pid": left.pid, "command": " ".join(command)}]})
        )
        os.close(run.lock_children(seconds=10))
        assert left.wait() == -signal.SIGTERM


def test_a_process_that_took_over_a_recorded_number_is_left_alone(run: RunDirectory) -> None:
    run.create()
    children = run.lock_children()
    code = "import sys; print('started', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"started\n"
        run.suite.write_text(
            json.dumps({"processes": [{"pid": other.pid, "command": "python -m users_service"}]})
        )
        with pytest.raises(StillAliveError):  # whoever holds the lock, it is not that process
            run.lock_children(seconds=0.1, kill_seconds=0.1)
        os.close(children)
        other.communicate()
        assert other.returncode == 0
