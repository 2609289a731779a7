"""What this service is told by its environment (the README lists it)."""

import binascii
from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from servicekit.settings import HTTPURL, ServiceSettings


def _sealing_key(text: object) -> object:
    """32 bytes from base64url, with or without padding."""
    if not isinstance(text, str):
        return text
    try:
        key = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be 32 bytes in base64url") from error
    if len(key) != 32:
        raise ValueError("must be 32 bytes in base64url")
    return text


class UsersSettings(ServiceSettings):
    """Settings with the prefix USERS_."""

    model_config = SettingsConfigDict(env_prefix="USERS_")
    said_in_production = (*ServiceSettings.said_in_production, "appointments_url", "files_url")

    database_url: SecretStr
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections of one instance; further requests wait for a free one."""
    sealing_key: Annotated[SecretStr, BeforeValidator(_sealing_key)]
    registration: Literal["open"] = "open"
    refresh_token_days: Annotated[int, Field(ge=1, le=366)] = 30
    argon2_time_cost: Annotated[int, Field(ge=1, le=100)] = 3
    argon2_memory_kib: Annotated[int, Field(ge=8, le=4 * 1024 * 1024)] = 65536
    argon2_parallelism: Annotated[int, Field(ge=1, le=64)] = 4
    hash_workers: Annotated[int, Field(ge=1, le=64)] = 2
    audit_days: Annotated[int, Field(ge=0, le=36_500)] = 3650
    """For how long the audit log keeps what it has; 0: this service deletes none of it."""
    doctor_lease_seconds: Annotated[int, Field(ge=0, le=10)] = 1
    """How long other services may rely on what they were told of a doctor."""
    appointments_url: HTTPURL = "http://127.0.0.1:8080"
    """Where appointments is reached: the gateway, or the internal load balancer."""
    files_url: HTTPURL = "http://127.0.0.1:8080"

    @property
    def database_kind(self) -> str:
        """`mysql` or `sqlite`."""
        return make_url(self.database_url.get_secret_value()).get_backend_name()

    @property
    def sealing_key_bytes(self) -> bytes:
        """The sealing key, 32 bytes."""
        text = self.sealing_key.get_secret_value()
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))

    @property
    def audit_kept(self) -> timedelta | None:
        """For how long entries of the audit log stay, None for good."""
        return timedelta(days=self.audit_days) if self.audit_days else None

    @property
    def refresh_token_lifetime(self) -> timedelta:
        """How long a refresh token is good."""
        return timedelta(days=self.refresh_token_days)

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            driver = make_url(self.database_url.get_secret_value()).drivername
        except ArgumentError as error:
            raise ValueError("USERS_DATABASE_URL is not a database address") from error
        if driver not in ("sqlite+aiosqlite", "mysql+aiomysql"):
            raise ValueError("USERS_DATABASE_URL is sqlite+aiosqlite:///PATH or mysql+aiomysql://…")
        if self.argon2_memory_kib < 8 * self.argon2_parallelism:
            raise ValueError("USERS_ARGON2_MEMORY_KIB is at least 8 times the parallelism")
        if self.environment == "production":
            self._check_production(driver)
        return self

    def _check_production(self, driver: str) -> None:
        if driver != "mysql+aiomysql":
            raise ValueError("USERS_DATABASE_URL is a mysql+aiomysql:// address in production")
        if self.argon2_memory_kib < 65536 or self.argon2_time_cost < 3:
            raise ValueError(
                "USERS_ARGON2_* is at least RFC 9106's low-memory option in production"
            )
