"""Settings from the environment, checked before anything starts."""

import os
import socket
import sys
from typing import Annotated, Literal, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, Field, FilePath, ValidationError
from pydantic_settings import BaseSettings

DEVELOPMENT_ISSUER = "https://issuer.localhost"
DEFAULT_AUDIENCE = "appointments-platform"


def _private_key(path: FilePath) -> FilePath:
    try:
        load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("not a file with an unencrypted private key in PEM") from error
    return path


PrivateKeyFile = Annotated[FilePath, AfterValidator(_private_key)]
"""A file with a private key that can be signed with: found out at start, not at the first call."""


class ServiceSettings(BaseSettings):
    """What every service is told. A service subclasses this with a prefix of its own."""

    environment: Annotated[
        Literal["development", "production"], Field(validation_alias="ENVIRONMENT")
    ] = "development"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    reuse_port: bool = False
    """Whether other processes of this instance share the port (SO_REUSEPORT)."""
    internal_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """A loopback port of this process alone, for its metrics, where the public one is shared."""
    instance: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    token_issuer: str = DEVELOPMENT_ISSUER
    token_audience: str = DEFAULT_AUDIENCE
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 0.0
    """Between SIGTERM and closing: long enough for the load balancer to see /health say 503."""


S = TypeVar("S", bound=BaseSettings)


def load_settings(kind: type[S]) -> S:
    """The settings, or one clear line on stderr and exit code 2."""
    try:
        return kind()
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        faults = "; ".join(
            f"{_variable(kind, prefix, item['loc'])}: {item['msg']}" for item in error.errors()
        )
        sys.stderr.write(f"bad settings: {faults}\n")
        raise SystemExit(2) from None


def _variable(kind: type[BaseSettings], prefix: str, location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "settings"
    return f"{prefix}{name}".upper() if name in kind.model_fields else name
