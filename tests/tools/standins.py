"""Specifications of stand-in services, for the supervisor's tests."""

import sys
from pathlib import Path
from typing import Any

from tools import http
from tools.supervisor import Job, Service

PROGRAM = Path(__file__).with_name("standin.py")


def service(name: str, directory: Path, **options: Any) -> Service:
    """A stand-in; capitals in `options` are its environment, the others the service's own."""
    environment = {key: str(value) for key, value in options.items() if key.isupper()}
    return Service(
        name=name,
        command=(sys.executable, "-S", "-E", str(PROGRAM)),
        environment=lambda port: {"NAME": name, "PORT": str(port), **environment},
        log=directory / f"{name}.log",
        healthy=http.is_healthy,
        **{key: value for key, value in options.items() if key.islower()},
    )


def job(name: str, directory: Path, code: str, **options: Any) -> Job:
    """A job that runs a line of Python."""
    return Job(
        name=name,
        command=(sys.executable, "-S", "-E", "-c", code),
        environment={},
        log=directory / f"{name}.log",
        **options,
    )
