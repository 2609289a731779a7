"""Settings from the environment, checked before anything starts."""

import os
import re
import socket
import sys
from ipaddress import ip_address
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

    def unsafe(self) -> dict[str, str]:
        """What production refuses, and what it would take; by the names of settings.

        A service adds its own. A name that is no setting's is a variable of the environment.
        """
        found = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name.endswith("_endpoint") and value is not None:
                found[name] = "is of an emulator, so it is unset"
            elif name.endswith(("_url", "_issuer")) and isinstance(value, str) and _is_here(value):
                found[name] = "is not on this machine"
        if self.token_issuer == DEVELOPMENT_ISSUER:
            found |= {"token_issuer": "is the platform's own"}
        if "*" in self.cors_origins:
            found["allowed_origins"] = "names origins"
        if self.log_level == "debug":
            found["log_level"] = "is at least info"
        return found | _unsafe_aws()

    @model_validator(mode="after")
    def _take_nothing_of_development_in_production(self) -> Self:
        if self.environment == "production":
            kind = type(self)
            unsaid = [n for n in self.said_in_production if n not in self.model_fields_set]
            unsafe = {n: why for n, why in self.unsafe().items() if n not in unsaid}
            faults = [f"{_variable(kind, name)} {why}" for name, why in unsafe.items()]
            if unsaid:
                names = ", ".join(_variable(kind, name) for name in unsaid)
                faults.insert(0, f"production takes no default for {names}")
            if unsafe:
                faults[bool(unsaid)] = f"in production {faults[bool(unsaid)]}"
            if faults:
                raise ValueError("; ".join(faults))
        return self


def _is_here(url: str) -> bool:
    """Whether an address is of the very machine that asks."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _unsafe_aws() -> dict[str, str]:
    """What botocore reads by itself: an emulator's credentials and its address."""
    found = {
        name: "is not an emulator's"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        if os.environ.get(name) == "test"
    }
    addresses = [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]
    return found | dict.fromkeys(sorted(addresses), "is of an emulator, so it is unset")


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
