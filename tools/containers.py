"""The suite of docker-compose.yml as its engine and its gateway see it, by the docker client."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Run in the gateway's container: its admin port is reached from nowhere else.
ASK_TARGETS = (
    "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8081);"
    " c.request('GET', '/targets'); print(c.getresponse().read().decode())"
)


class DockerError(Exception):
    """The docker client could not do what it was told to; the text is one line."""


@dataclass(frozen=True)
class Container:
    """A container of the suite, as it was when it was looked at.

    Attributes:
        id: the engine's.
        name: as Compose counts: appointments-platform-appointments-1.
        service: that of docker-compose.yml.
        image: the id of the image that it was made from.
        image_name: what that image was called then; by now another may be called so.
        running: whether its program has not ended.
        started_at: when it was started last, as the engine writes it.
        addresses: of the suite's network; none when it has ended.
    """

    id: str
    name: str
    service: str
    image: str
    image_name: str
    running: bool
    started_at: str
    addresses: frozenset[str]


class Suite:
    """Runs the docker client on one project of docker-compose.yml."""

    def __init__(
        self, root: Path, project: str | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Take docker-compose.yml and the sources from `root`.

        `project` is Compose's own name of it by default, `environment` that of this process.
        """
        self.root = root
        self._project = () if project is None else ("--project-name", project)
        self.environment = dict(os.environ if environment is None else environment)

    def docker(self, *arguments: str, **environment: str) -> str:
        """What `docker …` printed, with these variables besides. Raises DockerError."""
        return self._run(arguments, environment).stdout

    def compose(self, *arguments: str, **environment: str) -> str:
        """What `docker compose …` printed. Raises DockerError."""
        return self.docker("compose", *self._project, *arguments, **environment)

    def project_name(self) -> str:
        """What Compose calls the project, whoever named it. Raises DockerError."""
        name: str = json.loads(self.compose("config", "--format=json"))["name"]
        return name

    def containers(self) -> list[Container]:
        """All of the project, those that have ended too. Raises DockerError."""
        ids = self.compose("ps", "--all", "--quiet").split()
        rows = json.loads(self.docker("inspect", *ids)) if ids else []
        return [_container(row) for row in rows]

    def targets(self, service: str) -> dict[str, str]:
        """The state of each target of a service by its address, as the gateway sees it.

        Raises DockerError.
        """
        printed = self.compose("exec", "-T", "gateway", "python", "-c", ASK_TARGETS)
        return {
            urlsplit(row["url"]).hostname or "": row["state"]
            for row in json.loads(printed)
            if row["service"] == service
        }

    def last_lines(self, container: Container, count: int) -> Sequence[str]:
        """What a container wrote last, errors after all else. Raises DockerError."""
        written = self._run(("logs", f"--tail={count}", container.id), {})
        return (written.stdout + written.stderr).splitlines()[-count:]

    def _run(
        self, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        try:
            process = subprocess.Popen(
                ["docker", *arguments],
                cwd=self.root,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise DockerError(f"docker can't be run: {error.strerror}") from error
        with process:
            try:
                out, err = process.communicate()
            except BaseException:
                # Not killed, as subprocess.run does: a client that is told to end calls off what
                # it has begun. The end of `with` waits for that.
                process.terminate()
                raise
        result = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        if result.returncode != 0:
            said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
            reason = said[-1] if said else f"exit code {result.returncode}"
            raise DockerError(f"docker {' '.join(arguments)}: {reason}")
        return result


def _container(row: Mapping[str, Any]) -> Container:
    networks = row["NetworkSettings"]["Networks"].values()
    return Container(
        id=row["Id"],
        name=row["Name"].removeprefix("/"),
        service=row["Config"]["Labels"]["com.docker.compose.service"],
        image=row["Image"],
        image_name=row["Config"]["Image"],
        running=row["State"]["Running"],
        started_at=row["State"]["StartedAt"],
        addresses=frozenset(filter(None, (network["IPAddress"] for network in networks))),
    )
