"""A MySQL or MariaDB server of one's own, from what is installed, for tests and benchmarks."""

from __future__ import annotations

import getpass
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pymysql

from tools.processes import die_with_parent, end, free_port

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ATTEMPTS = 3
_SYSTEM_USER = "mysql"  # both servers refuse to run as root, or warn against it


class MySQLError(Exception):
    """The server could not be prepared or did not start; the text holds the end of its log."""


def find_server() -> Path | None:
    """Return an installed server program, `mysqld` or `mariadbd`, or None.

    MYSQLD names one outright; empty or without such a file it means that there is none. Otherwise
    PATH is searched, then /usr/sbin, where Debian keeps it outside of a user's PATH.
    """
    named = os.environ.get("MYSQLD")
    if named is not None:
        return Path(named) if named and Path(named).is_file() else None
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    for program in ("mariadbd", "mysqld"):
        found = shutil.which(program, path=path)
        if found is not None:
            return Path(found)
    return None


class MySQLServer:
    """A server with empty data on a free port of 127.0.0.1, as a context manager.

    `user` may do everything and connects by TCP with `password`. `stop` and `start` let a test
    take the server away for a while; it comes back at the same port with its data.
    """

    host = "127.0.0.1"
    user = "tester"

    def __init__(self, program: Path, *, tls: Mapping[str, bytes] | None = None) -> None:
        """Take the server program, as `find_server` returns it.

        `tls` is the PEM behind each of the server's options `ssl-ca`, `ssl-cert` and `ssl-key`.
        """
        self._tls = dict(tls or {})
        self._program = program
        self._owner = _SYSTEM_USER if getpass.getuser() == "root" else None
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.port: int | None = None
        self.password = secrets.token_urlsafe(12)

    def __enter__(self) -> Self:
        # Not below a directory of pytest's: those are closed to the user that the server runs as.
        self._directory = Path(tempfile.mkdtemp(prefix="mysql-"))
        try:
            self._prepare()
            self.start()
        except BaseException:
            shutil.rmtree(self._directory)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._directory)

    def new_database(self) -> str:
        """Create an empty database (utf8mb4) and return its name."""
        name = f"test_{next(self._numbers)}"
        with (
            pymysql.connect(
                host=self.host, port=self.port or 0, user=self.user, password=self.password
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name

    def url(self, database: str) -> str:
        """Return SQLAlchemy's address of a database, with the asynchronous driver aiomysql."""
        return f"mysql+aiomysql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Start it and return once it answers; raises MySQLError."""
        for _ in range(_ATTEMPTS):
            # A free port may be taken by another program before the server binds it.
            port = free_port() if self.port is None else self.port
            process = self._spawn(port)
            if self._answers(process, port):
                self.port, self._process = port, process
                return
            end(process, _STOP_SECONDS)
        raise MySQLError(f"{self._program} did not start:\n{self._log_end()}")

    def stop(self) -> None:
        """End it and wait until it is gone; does nothing when it is not running."""
        if self._process is not None:
            end(self._process, _STOP_SECONDS)
            self._process = None

    def _prepare(self) -> None:
        """Make the system tables and the user."""
        account = f"'{self.user}'@'{self.host}'"
        (self._directory / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION;\n"
        )
        version = subprocess.run([self._program, "--version"], capture_output=True, check=True)
        for option, content in self._tls.items():
            self._pem(option).write_bytes(content)
        if self._owner is not None:
            for path in (self._directory, *self._directory.iterdir()):
                shutil.chown(path, self._owner)
        if b"MariaDB" in version.stdout:
            installer = shutil.which("mariadb-install-db") or shutil.which("mysql_install_db")
            if installer is None:
                raise MySQLError(f"{self._program} is here, but no mariadb-install-db beside it")
            command = [installer, "--no-defaults", "--skip-test-db"]
        else:
            command = [str(self._program), "--no-defaults", "--initialize-insecure"]
        with self._log.open("ab") as output:
            subprocess.run(
                [*command, f"--datadir={self._directory / 'data'}"],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self._owner,
                group=self._owner,
                extra_groups=[] if self._owner else None,
                check=False,
            )
        if not (self._directory / "data" / "mysql").is_dir():
            raise MySQLError(f"{command[0]} made no system tables:\n{self._log_end()}")

    @property
    def _log(self) -> Path:
        return self._directory / "server.log"

    def _pem(self, option: str) -> Path:
        return self._directory / f"{option}.pem"

    def _log_end(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [
                    self._program,
                    "--no-defaults",
                    f"--datadir={self._directory / 'data'}",
                    f"--init-file={self._directory / 'init.sql'}",
                    f"--socket={self._directory / 'server.sock'}",
                    f"--pid-file={self._directory / 'server.pid'}",
                    f"--bind-address={self.host}",
                    f"--port={port}",
                    "--skip-name-resolve",
                    *(f"--{option}={self._pem(option)}" for option in self._tls),
                    # Durable to the operating system, not to the disk: the data is thrown away.
                    "--innodb-flush-log-at-trx-commit=2",
                ],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._owner,
                group=self._owner,
                extra_groups=[] if self._owner else None,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - binds it to this process
            )

    def _answers(self, process: subprocess.Popen[bytes], port: int) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                pymysql.connect(
                    host=self.host, port=port, user=self.user, password=self.password
                ).close()
            except pymysql.err.OperationalError:
                time.sleep(0.05)  # nothing tells when a listener appears
            else:
                return True
        return False
