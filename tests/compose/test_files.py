"""What the files for containers promise; no engine is needed to see it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.compose_secrets import OWNERS
from tools.environments import ROOT

COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILES = {
    "users": ROOT / "services/users/Dockerfile",
    "appointments": ROOT / "services/appointments/Dockerfile",
    "files": ROOT / "services/files/Dockerfile",
    "gateway": ROOT / "gateway/Dockerfile",
}
by_deployable = pytest.mark.parametrize("name", DOCKERFILES)


def test_every_variable_is_documented_with_its_default() -> None:
    used = dict(re.findall(r"\$\{(\w+):?-([^${}]*)\}", COMPOSE))
    used["FILES_S3_PUBLIC_ENDPOINT"] = f"http://localhost:{used['COMPOSE_EMULATOR_PORT']}"
    for service in ("USERS", "APPOINTMENTS"):
        used[f"{service}_PUBLIC_URL"] = f"http://localhost:{used['COMPOSE_GATEWAY_PORT']}"
    example = (ROOT / ".env.example").read_text()
    assert dict(re.findall(r"^#(\w+)=(.*)$", example, re.MULTILINE)) == used
    undefaulted = set(re.findall(r"(?<!\$)\$\{(\w+)\}", COMPOSE))
    assert undefaulted == {"COMPOSE_PROJECT_NAME"}  # which Compose itself sets


def test_the_images_are_pinned_by_version() -> None:
    images = re.findall(r"^    image: (?:\$\{\w+_IMAGE:-)?([a-z/]+:[^}\s]+)", COMPOSE, re.M)
    assert images == [
        "mysql:8.4",
        "localstack/localstack:4.14.0",
        "prom/prometheus:v3.13.2",
        "grafana/grafana:12.4",
    ]


@by_deployable
def test_each_runs_as_a_user_of_its_own(name: str) -> None:
    users = {key: path.read_text() for key, path in DOCKERFILES.items()}
    ids = {key: re.findall(r"^USER (\d+):\d+$", text, re.M)[-1] for key, text in users.items()}
    assert len(set(ids.values())) == len(ids)
    assert int(ids[name]) == OWNERS.get(name, int(ids[name])) > 0


@by_deployable
def test_what_changes_least_comes_first(name: str) -> None:
    last = DOCKERFILES[name].read_text().rpartition("FROM ${PYTHON_IMAGE}\n")[2]
    copied = re.findall(r"^COPY --from=(\w+) (\S+) (\S+)$", last, re.M)
    stage = "gateway" if name == "gateway" else "service"
    assert [row[0] for row in copied] == ["pins", "libraries", stage]
    assert last.index("ARG VERSION") > last.rindex("COPY")
    assert "pip" not in last


@by_deployable
def test_only_what_is_pinned_is_installed(name: str) -> None:
    text = DOCKERFILES[name].read_text()
    assert not text.startswith("# syntax=")  # it would ask a registry for the builder
    (install,) = re.findall(r"pip .*? install (?:.*\\\n)*.*", text)
    assert {"--require-hashes", "--no-deps"} <= set(install.split())
    pins = re.findall(r"^COPY (\S+/requirements\.txt) /$", text, re.M)
    assert [ROOT / pin for pin in pins] == [Path(DOCKERFILES[name]).parent / "requirements.txt"]


def test_without_an_engine_its_tests_are_named_as_not_run() -> None:
    tests = Path(__file__).with_name("test_compose.py").relative_to(ROOT)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tests)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "NOT RUN: these need a Docker engine, and COMPOSE_TEST=1 to use it" in run.stdout
    assert f"{tests}::test_one_command_ends_with_all_healthy_and_the_walk_works" in run.stdout
    assert run.returncode == 0, run.stdout
