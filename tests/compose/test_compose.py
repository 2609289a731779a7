"""docker-compose.yml as a new user runs it; needs a Docker engine and COMPOSE_TEST=1."""

import csv
import json
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.compose.running import Compose, run, until
from tests.e2e.test_journey import walk
from tools.environments import ROOT
from tools.replay.rows import COLUMNS

pytestmark = pytest.mark.compose

LONG_RUNNING = ("mysql", "emulator", "users", "appointments", "files", "gateway")
ONCE = ("secrets", "users-init", "appointments-init", "files-init")


def call(url: str, body: dict[str, Any] | None = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_one_command_ends_with_all_healthy_and_the_walk_works(
    compose: Compose, tmp_path: Path
) -> None:
    assert compose.states() == {
        **{f"{name}-1": "healthy" for name in LONG_RUNNING},
        **{f"{name}-1": "exited 0" for name in ONCE},
    }
    suite = tmp_path / "suite.json"
    suite.write_text(compose.secrets())
    script = walk((ROOT / "README.md").read_text())
    bash = ("bash", "-eu", "-o", "pipefail", "-c", script)
    printed = run(*bash, cwd=tmp_path, SUITE=compose.gateway, SUITE_JSON=str(suite))
    assert "All is well.\n" in printed
    assert '"status":"available"' in printed
    assert '"reason":"checkup"' in printed.splitlines()[-1]


def test_three_instances_share_the_load_and_a_dead_one_is_left_out(compose: Compose) -> None:
    compose.up("--scale=appointments=3")
    until(lambda: compose.targets("appointments") == ["healthy"] * 3)

    def ask(times: int) -> Counter[str]:
        """How many of so many requests each instance answered."""

        def answered() -> Counter[str]:
            # The engine gets a line of a log a moment after the client its answer.
            return Counter(
                event["instance"]
                for event in compose.events("appointments")
                if event.get("route") == "GET /v1/openapi/appointments.json"
            )

        before = answered()
        for _ in range(times):
            call(f"{compose.gateway}/v1/openapi/appointments.json")
        until(lambda: (answered() - before).total() >= times)
        return answered() - before

    assert sorted(ask(30).values()) == [10, 10, 10]
    compose.kill(compose.containers("appointments")[1])
    until(lambda: compose.targets("appointments") == ["healthy"] * 2)
    assert sorted(ask(30).values()) == [15, 15]


def test_what_was_answered_is_there_after_down_and_up(compose: Compose, tmp_path: Path) -> None:
    rows, answers = tmp_path / "rows.csv", tmp_path / "answers"
    with rows.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(40):
            day = f"2016-05-{2 + number // 20:02}T00:00:00Z"
            where = "CENTRO" if number % 3 else "ILHA DO BOI"
            writer.writerow((f"p{number % 23}", f"a{number}", "2016-04-01T08:00:00Z", day, where))
    admin = json.loads(compose.secrets())["admin"]
    replayed = run(
        *(sys.executable, "-m", "tools.replay", str(rows), "--target", compose.gateway),
        *("--admin-email", admin["email"], "--answers", str(answers)),
        REPLAY_ADMIN_PASSWORD=admin["password"],
    )
    assert "40 of 40 rows booked" in replayed

    def audit() -> dict[str, Any]:
        command = (sys.executable, "-m", "tools.audit", "--endpoint", compose.emulator)
        report: dict[str, Any] = json.loads(run(*command, "--json", "--answers", str(answers)))
        return report

    assert audit()["seen"]["journal answers"] == 40
    # LocalStack without an account keeps nothing; what is audited then is an empty table.
    health = call(f"{compose.emulator}/_localstack/health")
    keeps = health.get("edition") != "community"
    compose("down")
    compose.up()
    assert json.loads(compose.secrets())["admin"] == admin
    assert call(f"{compose.gateway}/v1/auth/login", admin)["access_token"]
    if keeps:
        seen = audit()["seen"]
        assert seen["journal answers"] == 40
        assert seen["appointments"] >= 40


def test_no_secret_is_in_a_log_or_in_a_containers_settings(compose: Compose) -> None:
    values = [
        compose("exec", "-T", "users", "cat", f"/secrets/users/{name}").strip()
        for name in ("admin-password", "USERS_SEALING_KEY", "USERS_DATABASE_URL")
    ]
    said = compose("logs", "--no-color") + compose("config")
    for service in LONG_RUNNING:
        said += compose.inspect(service)
    assert [value for value in values if value in said] == []


def test_a_container_reads_its_own_secrets_only_and_writes_nothing(compose: Compose) -> None:
    look = (
        "import os, sys; folder = '/secrets/' + sys.argv[1];"
        " print(os.access(folder, os.R_OK), os.access('/', os.W_OK), os.getuid() > 0)"
    )
    for service in ("users", "appointments", "files"):
        for folder in ("users", "appointments", "files", "mysql", "all"):
            printed = compose("exec", "-T", service, "python", "-c", look, folder)
            assert printed.split() == [str(folder == service), "False", "True"]
