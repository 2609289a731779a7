"""The whole suite as ./dev up runs it: what it says of itself, what it replaces, what it keeps."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tools import environments
from tools.environments import ROOT
from tools.rundir import RunDirectory

ACCOUNT = {
    "email": "ada@patients.example",
    "password": "a long enough password",
    "full_name": "Ada Example",
}
LOGIN = {key: ACCOUNT[key] for key in ("email", "password")}


class RunningSuite:
    """A suite in a directory of its own, driven by the commands."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run

    def command(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", f"tools.{name}", "--run-dir", str(self.run.path), *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self, *arguments: str) -> None:
        result = self.command("up", "--detach", "--port", "0", *arguments)
        assert result.returncode == 0, result.stderr

    @property
    def state(self) -> dict[str, Any]:
        state = self.run.read_suite()
        assert state is not None
        return state

    def process(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(row for row in self.state["processes"] if row["name"] == name)
        return found

    def routed(self, service: str) -> list[str]:
        """The instances that the gateway sends requests to."""
        with urllib.request.urlopen(f"{self.state['gateway_admin']}/targets") as answer:
            rows = json.load(answer)
        return sorted(
            row["url"] for row in rows if (row["service"], row["state"]) == (service, "healthy")
        )

    def post(self, path: str, body: dict[str, str]) -> int:
        request = urllib.request.Request(
            f"{self.state['gateway']}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            status: int = answer.status
            return status

    def keep_item(self) -> None:
        client = self.client("dynamodb")
        client.create_table(
            TableName="kept",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        client.put_item(TableName="kept", Item={"id": {"S": "kept"}})

    def has_item(self) -> bool:
        key = {"id": {"S": "kept"}}
        return "Item" in self.client("dynamodb").get_item(TableName="kept", Key=key)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.state["emulator"],
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[RunningSuite]:
    environments.ensure([environments.emulator()])
    running = RunningSuite(RunDirectory(tmp_path / "run"))
    yield running
    result = running.command("down")
    assert result.returncode == 0, result.stderr


async def until(condition: Any, seconds: float = 30) -> None:
    """Wait for what other processes do; nothing tells of it here."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)


async def test_an_instance_that_dies_is_replaced_and_routed_to_again(suite: RunningSuite) -> None:
    suite.up("--scale", "appointments=2")
    assert stat.S_IMODE(suite.run.suite.stat().st_mode) == 0o600
    assert [len(urls) for urls in suite.state["instances"].values()] == [1, 2, 1]
    assert suite.routed("appointments") == sorted(suite.state["instances"]["appointments"])
    status = suite.command("status")
    assert status.returncode == 0
    assert status.stdout.count(" healthy ") == 6

    killed = suite.process("appointments-2")
    others = [row["pid"] for row in suite.state["processes"] if row["pid"] != killed["pid"]]
    os.kill(killed["pid"], signal.SIGKILL)
    await until(lambda: suite.process("appointments-2")["restarts"] == 1)
    await until(lambda: suite.process("appointments-2")["state"] == "healthy")
    await until(lambda: len(suite.routed("appointments")) == 2)
    assert suite.process("appointments-2")["pid"] != killed["pid"]
    assert [
        row["pid"] for row in suite.state["processes"] if row["name"] != "appointments-2"
    ] == others


def test_data_and_secrets_outlive_a_restart_at_the_same_addresses(suite: RunningSuite) -> None:
    suite.up()
    first = suite.state
    assert suite.post("/v1/auth/register", ACCOUNT) == 201
    suite.client("s3").put_object(Bucket="reports", Key="kept", Body=b"bytes")
    suite.keep_item()
    assert suite.command("down").returncode == 0
    assert suite.command("status").returncode == 1
    assert not suite.run.suite.exists()

    suite.up()
    assert suite.state["emulator"] == first["emulator"]
    assert suite.state["admin"] == first["admin"]
    assert suite.post("/v1/auth/login", LOGIN) == 200
    assert suite.post("/v1/auth/login", suite.state["admin"]) == 200
    stored = suite.client("s3").get_object(Bucket="reports", Key="kept")["Body"]
    with stored:
        assert stored.read() == b"bytes"
    assert suite.has_item()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_a_killed_supervisor_leaves_nothing_and_the_stores_are_kept(suite: RunningSuite) -> None:
    suite.up()
    suite.keep_item()
    supervisor = suite.run.supervisor_pid()
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    down = suite.command("down")  # it waits until the lock that every process holds is free
    assert (down.returncode, down.stdout) == (0, "nothing runs\n")
    suite.up()
    assert suite.has_item()
