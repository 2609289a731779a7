"""Settings from the environment, checked before anything starts."""

import os
import re
import socket
import sys
from typing import Annotated, ClassVar, Literal, Self, TypeVar
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import (
    AfterValidator,
    Field,
    FilePath,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode

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


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http or https URL")
    return text.rstrip("/")


HTTPURL = Annotated[str, AfterValidator(_http_url)]
"""Where something is reached, without a slash at its end."""

# Compared letter by letter with what a browser sends, so only what one can send is taken: a host in
# lower case and ASCII, no default port, no path, no user, no pattern.
_is_origin = re.compile(
    r"(?!http:.*:80\Z|https:.*:443\Z)"
    r"https?://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?\Z"
).match


def _origin(text: str) -> str:
    if text != "*" and not _is_origin(text):
        raise ValueError("an origin is scheme://host[:port] as browsers write it, or *")
    return text


Origin = Annotated[str, AfterValidator(_origin)]
"""Whose page it is (the Fetch standard's serialized origin), or `*` for anybody's."""


class ServiceSettings(BaseSettings):
    """What every service is told. A service subclasses this with a prefix of its own."""

    said_in_production: ClassVar[tuple[str, ...]] = ("token_issuer", "token_audience")
    """Settings without a default in production: one that fits one machine would be wrong there,
    and in silence."""

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
    allowed_origins: Annotated[tuple[Origin, ...] | None, NoDecode] = None
    """Whose pages may call and read; unset: any in development, none in production."""

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """The origins whose pages are let in by CORS; with none, there is no CORS at all."""
        if self.allowed_origins is not None:
            return self.allowed_origins
        return ("*",) if self.environment == "development" else ()

    @model_validator(mode="after")
    def _take_no_default_in_production(self) -> Self:
        if self.environment == "production":
            unsaid = [n for n in self.said_in_production if n not in self.model_fields_set]
            if unsaid:
                names = ", ".join(_variable(type(self), name) for name in unsaid)
                raise ValueError(f"production takes no default for {names}")
        return self


S = TypeVar("S", bound=BaseSettings)


def load_settings(kind: type[S]) -> S:
    """The settings, or one clear line on stderr and exit code 2.

    What must not stand in an environment can be a file of the variable's name in `SECRETS_DIR`.
    """
    folder = os.environ.get("SECRETS_DIR")
    if folder is not None and not os.access(folder, os.R_OK | os.X_OK):
        sys.stderr.write(f"bad settings: SECRETS_DIR: {folder} is no folder that can be read\n")
        raise SystemExit(2)
    try:
        return kind(_secrets_dir=folder)
    except ValidationError as error:
        faults = "; ".join(_fault(kind, item["loc"], item["msg"]) for item in error.errors())
        sys.stderr.write(f"bad settings: {faults}\n")
        raise SystemExit(2) from None


def _fault(kind: type[BaseSettings], place: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{_variable(kind, str(place[0]))}: {message}" if place else message


def _variable(kind: type[BaseSettings], name: str) -> str:
    """The environment variable of a field. An error's place may be the variable already."""
    field = kind.model_fields.get(name)
    if field is None:
        return name
    if isinstance(field.validation_alias, str):
        return field.validation_alias
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()
