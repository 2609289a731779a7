"""The virtual environments that ./dev makes: which there are, when one is whole, how it is built.

Only the standard library is used here: this runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / ".run"
PACKAGES = (
    "libs/jwtverify",
    "libs/routetable",
    "libs/servicekit",
    "libs/telemetry",
    "services/users",
    "services/appointments",
    "services/files",
    "gateway",
)

_STAMP = ".complete.json"
_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError"
    r"|Failed to establish a new connection|Temporary failure in name resolution"
    r"|Network is unreachable|nodename nor servname|timed out"
)
_KEPT_LINES = 30


class SetupError(Exception):
    """An environment could not be made; the text says what to do about it."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment: where it is and what is installed in it.

    Attributes:
        directory: where it is.
        pins: the requirements file with hashes.
        packages: directories of this repository, installed as they stand (editable).
    """

    directory: Path
    pins: Path
    packages: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.directory.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.directory / "bin" / "python"

    def is_whole(self) -> bool:
        """Tell whether it was built to the end from what the repository asks for now.

        The stamp is written last, so an interrupted build never counts. It names the directory,
        because an environment that was moved doesn't run, and Python's version, because another
        one needs other wheels.
        """
        return self._stamp() == self._wanted() and self.python.exists()

    def build(self, log: Path, progress: Progress) -> None:
        """Build it from nothing, or install only its packages anew where nothing else changed.

        Pip's output goes to `log`. Raises SetupError.
        """
        started = time.monotonic()
        wanted, stamp = self._wanted(), self._stamp()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        install = [*pip, "--retries", "2", "install", "--no-deps"]
        (self.directory / _STAMP).unlink(missing_ok=True)
        if {**stamp, "packages": wanted["packages"]} != wanted or not self.python.exists():
            progress.show(self.name, "creating")
            shutil.rmtree(self.directory, ignore_errors=True)
            self._run([sys.executable, "-m", "venv", str(self.directory)], log, progress)
            self._run([*install, "--require-hashes", "-r", str(self.pins)], log, progress)
        if self.packages:
            progress.show(self.name, "installing this repository's packages")
            editable = [part for path in self.packages for part in ("--editable", str(path))]
            self._run([*install, "--no-build-isolation", *editable], log, progress)
        part = self.directory / f"{_STAMP}.part"
        part.write_text(json.dumps(wanted, indent=1))
        part.replace(self.directory / _STAMP)
        progress.done(self.name, f"ready after {time.monotonic() - started:.0f} s")

    def _stamp(self) -> dict[str, Any]:
        try:
            stamp: dict[str, Any] = json.loads((self.directory / _STAMP).read_text())
        except (OSError, ValueError):
            return {}
        return stamp

    def _wanted(self) -> dict[str, Any]:
        # Of a package's pyproject.toml only what an editable install without dependencies takes
        # from it: nothing is installed anew for every bound that someone moves.
        packages = {}
        for package in self.packages:
            content = tomllib.loads((package / "pyproject.toml").read_text())
            packages[str(package)] = [content["project"]["name"], content["tool"]["hatch"]["build"]]
        return {
            "directory": str(self.directory),
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "pins": hashlib.sha256(self.pins.read_bytes()).hexdigest(),
            "packages": packages,
        }

    def _run(self, command: Sequence[str], log: Path, progress: Progress) -> None:
        last: deque[str] = deque(maxlen=_KEPT_LINES)
        with (
            log.open("a") as output,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd=ROOT,
            ) as process,
        ):
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in process.stdout:
                output.write(line)
                last.append(line)
                if line.strip():
                    progress.show(self.name, line.strip())
        if process.returncode == 0:
            return
        text = "".join(last)
        if _NO_NETWORK.search(text):
            raise SetupError(
                f"no network: {self.name} can't be set up because the package index doesn't "
                "answer; connect, or set PIP_INDEX_URL to a mirror, and run the command again"
            )
        if "ensurepip" in text:
            raise SetupError(
                f"{sys.executable} can't make virtual environments; install its venv module "
                "(on Debian and Ubuntu: apt-get install python3-venv) and run the command again"
            )
        raise SetupError(f"{self.name} can't be set up; the end of {log}:\n{text.rstrip()}")


def project(root: Path = ROOT) -> Environment:
    """Return the environment of the services, the tests and the tools."""
    return Environment(
        directory=root / ".venv",
        pins=root / "requirements" / "dev.txt",
        packages=tuple(root / package for package in PACKAGES),
    )


def emulator(root: Path = ROOT) -> Environment:
    """Return the environment of MiniStack, whose pins don't agree with the services'."""
    return Environment(
        directory=root / ".venv-emulator", pins=root / "requirements" / "emulator.txt"
    )


def ensure(environments: Sequence[Environment], run: Path = RUN) -> None:
    """Build those of `environments` that are not whole, in parallel; raises SetupError.

    Safe to be called by several programs at once: one builds, the others wait for it.
    """
    if all(environment.is_whole() for environment in environments):
        return
    with _locked(run / "setup.lock"), Progress() as progress:
        missing = [environment for environment in environments if not environment.is_whole()]
        with ThreadPoolExecutor() as pool:
            builds = [
                pool.submit(environment.build, run / f"setup-{environment.name[1:]}.log", progress)
                for environment in missing
            ]
        for build in builds:
            build.result()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
