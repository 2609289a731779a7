"""The suite of docker-compose.yml under a project name of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.containers import ASK_TARGETS
from tools.environments import ROOT
from tools.processes import free_port

_COMMAND_SECONDS = 400.0  # the first build downloads every pinned package
_WAIT_SECONDS = 60.0
# What the engine's client reads, and nothing that docker-compose.yml would.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
)
IMAGES = ("users", "appointments", "files", "gateway")

LONG_RUNNING = ("mysql", "emulator", *IMAGES)
ONCE = ("secrets", "users-init", "users-sender", "appointments-init", "files-init")


class Compose:
    """Runs `docker compose` on free ports, with no setting but the test's own.

    Pages of `page_origin` may call, and no others.
    """

    def __init__(self, root: Path, page_origin: str) -> None:
        self._root = root
        self.project = f"suite-test-{os.getpid()}"
        names = ("GATEWAY", "EMULATOR", "PROMETHEUS")
        ports = {f"COMPOSE_{name}_PORT": free_port() for name in names}
        self.gateway, self.emulator, self.prometheus = (
            f"http://localhost:{port}" for port in ports.values()
        )
        self.environment = {
            **{name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            **{name: str(port) for name, port in ports.items()},
            "ALLOWED_ORIGINS": page_origin,
            "VERSION": self.project,  # by which images are found that have lost their name
        }

    def __call__(self, *arguments: str) -> str:
        """What `docker compose …` printed; fails the test with it if it fails."""
        # No file: a developer's own .env has no place in a test.
        return self._run(
            "compose", "--project-name", self.project, "--env-file=/dev/null", *arguments
        )

    def up(self, *arguments: str) -> None:
        """One command brings the suite up."""
        try:
            self("up", "--wait", *arguments)
        except AssertionError as failure:
            states, logs = self("ps", "--all"), self("logs", "--no-color", "--tail=20")
            raise AssertionError(f"{failure}\n{states}\n{logs}") from failure

    def suite_json(self) -> str:
        """The admin's e-mail and password, as the README says that one gets them."""
        return self("exec", "-T", "users", "cat", "/secrets/users/suite.json")

    def states(self) -> dict[str, str]:
        """How each container is, by its name: `healthy`, `exited 0`."""
        rows = [json.loads(line) for line in self("ps", "--all", "--format=json").splitlines()]
        return {
            row["Name"].removeprefix(f"{self.project}-"): row["Health"]
            or f"{row['State']} {row['ExitCode']}"
            for row in rows
        }

    def containers(self, service: str) -> list[str]:
        """The ids of a service's running containers."""
        return self("ps", "--quiet", service).split()

    def inspect(self, service: str) -> str:
        """All that the engine tells of a service's containers, their environment too."""
        return self._run("inspect", *self.containers(service))

    def image_bytes(self, image: str) -> int:
        """How much an image takes, with all that it is based on."""
        return int(self._run("image", "inspect", "--format={{.Size}}", image))

    def kill(self, container: str) -> None:
        """End a container at once, as a crash does."""
        self._run("kill", container)

    def targets(self, service: str) -> list[str]:
        """The states of a service's targets, as the gateway sees them."""
        rows: list[dict[str, Any]] = json.loads(
            self("exec", "-T", "gateway", "python", "-c", ASK_TARGETS)
        )
        return [row["state"] for row in rows if row["service"] == service]

    def events(self, service: str) -> Iterator[dict[str, Any]]:
        """What the running containers of a service have logged."""
        for line in self.lines(service):
            yield json.loads(line)

    def lines(self, service: str) -> Iterator[str]:
        """The same, line by line."""
        for container in self.containers(service):
            # Not by Compose, which puts a terminal's control sequence before lines.
            yield from self._run("logs", container).splitlines()

    def remove(self) -> None:
        """Leave nothing: containers, networks, volumes, images."""
        self("--profile=*", "down", "--volumes", "--remove-orphans", "--timeout=1")
        self._run("image", "rm", *(f"{self.project}-{name}" for name in IMAGES))
        label = f"label=org.opencontainers.image.version={self.project}"
        self._run("image", "prune", "--force", "--filter", label)

    def _run(self, *arguments: str) -> str:
        result = subprocess.run(
            ["docker", *arguments],
            cwd=self._root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        assert result.returncode == 0, f"docker {' '.join(arguments)}\n{result.stderr[-4000:]}"
        return result.stdout


@contextmanager
def running(root: Path, page_origin: str) -> Iterator[Compose]:
    """A suite that is up, made from the sources there, and gone afterwards."""
    compose = Compose(root, page_origin)
    try:
        compose.up("--build")
        yield compose
    finally:
        compose.remove()


def run(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    """What a program printed; fails the test if it fails."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in containers; nothing tells of it here."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


def call(
    url: str, body: dict[str, Any] | None = None, *, token: str = "", method: str | None = None
) -> Any:
    """The JSON that is answered: to a POST where there is a body, if no other method is said."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
