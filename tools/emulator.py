"""MiniStack, the AWS emulator that the embedded default and the tests use.

It lives in an environment of its own because it pins another botocore than the services do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.processes import die_with_parent, end, free_port

STOP_SECONDS = 60.0  # it writes its whole state as JSON when it ends
# Signed links and forms are only good with the very key that the emulator was started with.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
SERVED = "dynamodb,s3,ses"
"""What the suite uses of AWS."""
_START_SECONDS = 30.0
_ATTEMPTS = 3


class EmulatorError(Exception):
    """The emulator did not start; the text holds the end of its log."""


def emulator_command(python: Path) -> tuple[str, ...]:
    """Return the command that runs MiniStack in the environment of `python`."""
    return (str(python), "-m", "ministack")


def emulator_environment(
    port: int, scratch: Path, state: Path | None = None, services: str = SERVED
) -> dict[str, str]:
    """Return MiniStack's settings, all of them read from the environment.

    Args:
        port: where it listens, on 127.0.0.1 only.
        scratch: a directory for its pid file, which would else be put into /tmp.
        state: a directory in which tables and objects outlive a restart. Objects are written at
            once, tables and items only at a clean end (SIGTERM); None keeps all in memory.
        services: comma-separated; only these are served.
    """
    environment = {
        "PATH": os.defpath,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": services,
        "LOG_LEVEL": "WARNING",
        **CREDENTIALS,
        # Listeners on fixed ports that nothing here uses, and a daemon it has no business with.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",
    }
    if state is not None:
        environment |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state / "s3"),
        }
    return environment


class Emulator:
    """A MiniStack of one's own for tests and measurements, as a context manager.

    `url` holds its address. `stop` and `start` take it away for a while; it comes back at the same
    address, and empty, unless it was given a directory to keep its state in.
    """

    def __init__(self, python: Path, services: str = SERVED, state: Path | None = None) -> None:
        """Take the interpreter of the emulator's environment, what is to be served, and where its
        state outlives `stop`; by default nowhere.
        """
        self._python = python
        self._services = services
        self._state = state
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="ministack-")

    @property
    def url(self) -> str:
        """The endpoint of every service, such as http://127.0.0.1:45001."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._scratch.cleanup()

    def start(self) -> None:
        """Start it and return once it accepts connections; raises EmulatorError."""
        log = Path(self._scratch.name) / "ministack.log"
        for _ in range(_ATTEMPTS):
            # A free port may be taken by another program before MiniStack binds it.
            port = free_port() if self._port is None else self._port
            process = self._spawn(port, log)
            if _is_healthy(process, f"http://127.0.0.1:{port}"):
                self._port, self._process = port, process
                return
            end(process, STOP_SECONDS)
        raise EmulatorError(f"MiniStack did not start:\n{log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """End it and wait until it is gone; does nothing when it is not running."""
        if self._process is not None:
            end(self._process, STOP_SECONDS)
            self._process = None

    def _spawn(self, port: int, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                emulator_command(self._python),
                env=emulator_environment(
                    port, Path(self._scratch.name), self._state, self._services
                ),
                cwd=self._scratch.name,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - binds it to this process
            )


def _is_healthy(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/_ministack/health", timeout=1) as answer:  # noqa: S310 - http, to ourselves
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.02)  # nothing tells when a listener appears
    return False
