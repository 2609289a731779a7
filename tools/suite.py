"""What the suite on one machine consists of: the programs, their settings, and their order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tools import http
from tools.credentials import Credentials
from tools.emulator import CREDENTIALS, STOP_SECONDS, emulator_command, emulator_environment
from tools.processes import free_port
from tools.rundir import RunDirectory, write_private
from tools.supervisor import Instance, Job, Service, StartError

SERVICES = ("users", "appointments", "files")
MAX_INSTANCES = 16

# Which service may ask users for what, with a service token.
SCOPES = {"appointments": "contact:read names:read", "files": "names:read"}

_GATEWAY_STAGE, _SERVICES_STAGE, _EMULATOR_STAGE = 0, 1, 2  # in this order they end
_ROUTED_SECONDS = 15.0
_PROBE_SECONDS = 0.03


class Suite:
    """The programs of one run, and the files that tell others about them.

    Attributes:
        gateway: the address for callers.
        emulator: MiniStack's endpoint.
        admin: the first admin's e-mail and password.
        jobs: what the supervisor runs once.
        services: what the supervisor keeps running.
    """

    def __init__(
        self,
        run: RunDirectory,
        credentials: Credentials,
        *,
        port: int,
        scale: Mapping[str, int],
        emulator_python: Path,
    ) -> None:
        """Take the gateway's port and how many instances each service has."""
        self._run = run
        self._credentials = credentials
        self._ports = _read_ports(run)
        self._admin_port = free_port(self._ports.get("gateway-admin"))
        # Remembered, because the address of a file that was handed out names the emulator's port.
        self._emulator_port = free_port(self._ports.get("emulator"))
        self.gateway = f"http://127.0.0.1:{port}"
        self.emulator = f"http://127.0.0.1:{self._emulator_port}"
        self.admin = (credentials.admin_email, credentials.admin_password)
        self._scale = {service: scale.get(service, 1) for service in SERVICES}
        self.jobs = self._make_jobs()
        self.services = [
            self._emulator(emulator_python),
            self._gateway(port),
            *(
                self._instance(service, number)
                for service in SERVICES
                for number in range(1, self._scale[service] + 1)
            ),
        ]

    def write_state(self, instances: Mapping[str, Instance]) -> None:
        """Tell the gateway which instances are there, and other programs what runs."""
        groups = {
            service: [
                f"http://127.0.0.1:{instance.port}"
                for name, instance in instances.items()
                if name.rpartition("-")[0] == service and instance.state == "healthy"
            ]
            for service in SERVICES
        }
        write_private(self._run.targets, json.dumps(groups))
        ports = {name: instance.port for name, instance in instances.items()}
        ports = {**ports, "gateway-admin": self._admin_port}
        ports.pop("gateway")
        self._run.ports.write_text(json.dumps(ports))
        email, password = self.admin
        content = {
            "gateway": self.gateway,
            "admin": {"email": email, "password": password},
            "instances": groups,
            "emulator": self.emulator,
            "gateway_admin": f"http://127.0.0.1:{self._admin_port}",
            "users_database": str(self._run.users_database),
            "processes": [_describe(instance) for instance in instances.values()],
        }
        write_private(self._run.suite, json.dumps(content, indent=1) + "\n")

    async def wait_until_routed(self) -> None:
        """Return once the gateway sends requests to every instance; raises StartError."""
        try:
            async with asyncio.timeout(_ROUTED_SECONDS):
                while not await self._is_routed():  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(_PROBE_SECONDS)
        except TimeoutError:
            log = self._run.logs / "gateway.log"
            raise StartError("gateway", log, "doesn't see every instance as healthy") from None

    async def _is_routed(self) -> bool:
        status, body = await http.get(self._admin_port, "/targets")
        healthy = [row["service"] for row in json.loads(body) if row["state"] == "healthy"]
        return status == 200 and all(
            healthy.count(service) >= number for service, number in self._scale.items()
        )

    def _make_jobs(self) -> list[Job]:
        init = ["init", "--admin-email", self._credentials.admin_email]
        init += ["--admin-name", "Clinic Administrator"]
        init += ["--admin-password-file", str(self._credentials.admin_password_file)]
        for service, scope in SCOPES.items():
            key = self._credentials.service_keys[service].public
            init += ["--service", f"{service}={key}={scope}"]
        return [
            self._job("users-init", "users", init),
            self._job("users-sender", "users", ["verify-sender"], "emulator"),
            self._job("appointments-table", "appointments", ["create-table"], "emulator"),
            self._job("files-bucket", "files", ["create-bucket"], "emulator"),
        ]

    def _job(self, name: str, service: str, arguments: list[str], needs: str | None = None) -> Job:
        return Job(
            name=name,
            command=(sys.executable, "-m", f"{service}_service", *arguments),
            environment=self._settings(service, name, 0),
            log=self._run.logs / f"{name}.log",
            after=(needs,) if needs else (),
            again_with=needs,
        )

    def _emulator(self, python: Path) -> Service:
        scratch, state = self._run.emulator, self._run.emulator
        return Service(
            name="emulator",
            command=emulator_command(python),
            environment=lambda port: emulator_environment(port, scratch, state),
            log=self._run.logs / "emulator.log",
            healthy=_healthy_at("/_ministack/health"),
            port=self._emulator_port,
            stage=_EMULATOR_STAGE,
            stop_seconds=STOP_SECONDS,
            # Not killed with the supervisor, but told to end: it writes its state then.
            orphan_signal=signal.SIGTERM,
        )

    def _gateway(self, port: int) -> Service:
        async def answers(_: int) -> bool:
            return await http.is_healthy(self._admin_port)

        return Service(
            name="gateway",
            command=(sys.executable, "-m", "gateway"),
            environment=lambda port: {
                **_common(),
                "GATEWAY_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "GATEWAY_ADMIN_PORT": str(self._admin_port),
                "GATEWAY_TARGETS_FILE": str(self._run.targets),
                "GATEWAY_INSTANCE": "gateway",
                # As a load balancer does it, only quicker: one waits for it at a desk.
                "GATEWAY_HEALTH_INTERVAL_SECONDS": "0.5",
                "GATEWAY_HEALTH_TIMEOUT_SECONDS": "2",
                "GATEWAY_HEALTHY_THRESHOLD": "1",
                "GATEWAY_UNHEALTHY_THRESHOLD": "2",
                "GATEWAY_DEREGISTRATION_DELAY_SECONDS": "5",
            },
            log=self._run.logs / "gateway.log",
            healthy=answers,
            port=port,
            stage=_GATEWAY_STAGE,
        )

    def _instance(self, service: str, number: int) -> Service:
        name = f"{service}-{number}"
        is_new = not self._run.users_database.exists()
        return Service(
            name=name,
            command=(sys.executable, "-m", f"{service}_service"),
            environment=lambda port: self._settings(service, name, port),
            log=self._run.logs / f"{name}.log",
            healthy=_healthy_at("/health"),
            preferred_port=self._ports.get(name),
            # Each reaches its store when the first request does. Only a database without any
            # tables is worth waiting for: users would start with a warning.
            after=("users-init",) if service == "users" and is_new else (),
            stage=_SERVICES_STAGE,
        )

    def _settings(self, service: str, name: str, port: int) -> dict[str, str]:
        prefix = service.upper()
        return {
            **_common(),
            "ENVIRONMENT": "development",
            f"{prefix}_HOST": "127.0.0.1",
            f"{prefix}_PORT": str(port),
            f"{prefix}_INSTANCE": name,
            **getattr(self, f"_{service}_settings")(),
        }

    def _users_settings(self) -> dict[str, str]:
        return {
            "USERS_DATABASE_URL": f"sqlite+aiosqlite:///{self._run.users_database}",
            "USERS_SEALING_KEY": self._credentials.sealing_key,
            "USERS_REGISTRATION": "open",
            "USERS_APPOINTMENTS_URL": self.gateway,
            "USERS_FILES_URL": self.gateway,
            # To the emulator, which keeps what it is given and sends nothing.
            **_AWS,
            "USERS_MAIL": "ses",
            "USERS_SES_ENDPOINT": self.emulator,
            "USERS_PUBLIC_URL": self.gateway,
            # OWASP's minimum for argon2id. The service's own default is RFC 9106's, which takes
            # seven times as long: right for a clinic, and a burden to a desk that replays a day.
            "USERS_ARGON2_MEMORY_KIB": "19456",
            "USERS_ARGON2_TIME_COST": "2",
            "USERS_ARGON2_PARALLELISM": "1",
        }

    def _appointments_settings(self) -> dict[str, str]:
        return {
            **_AWS,
            "APPOINTMENTS_JWKS_URL": f"{self.gateway}/.well-known/jwks.json",
            "APPOINTMENTS_USERS_URL": self.gateway,
            "APPOINTMENTS_DYNAMODB_ENDPOINT": self.emulator,
            "APPOINTMENTS_SERVICE_KEY_FILE": str(
                self._credentials.service_keys["appointments"].private
            ),
            "APPOINTMENTS_MAIL": "ses",
            "APPOINTMENTS_SES_ENDPOINT": self.emulator,
            "APPOINTMENTS_PUBLIC_URL": self.gateway,
        }

    def _files_settings(self) -> dict[str, str]:
        return {
            **_AWS,
            "FILES_JWKS_URL": f"{self.gateway}/.well-known/jwks.json",
            "FILES_APPOINTMENTS_URL": self.gateway,
            "FILES_S3_ENDPOINT": self.emulator,
            "FILES_SERVICE_KEY_FILE": str(self._credentials.service_keys["files"].private),
        }


# The files keep a person's own account out of this.
_AWS = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    **CREDENTIALS,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def _common() -> dict[str, str]:
    # Without a path of the system's, zoneinfo reads the newer zone data of the tzdata package.
    common = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONTZPATH": ""}
    # Where traces go, and which, is said as everywhere: by OpenTelemetry's own variables.
    traces = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
    return common | traces


def _healthy_at(path: str) -> Callable[[int], Any]:
    return lambda port: http.is_healthy(port, path)


def _describe(instance: Instance) -> dict[str, object]:
    return {
        "name": instance.service.name,
        "pid": instance.pid,
        "port": instance.port,
        "state": instance.state,
        "since": round(instance.since, 3),
        "restarts": instance.restarts,
        "command": " ".join(instance.service.command),
    }


def _read_ports(run: RunDirectory) -> dict[str, int]:
    try:
        ports: dict[str, int] = json.loads(run.ports.read_text())
    except (FileNotFoundError, ValueError):
        return {}  # it only saves addresses from changing
    return ports
