"""What the service is told by its environment."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from servicekit.settings import HTTPURL, ServiceSettings

_GATEWAY = "http://127.0.0.1:8080"


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if text != "*" and (parts.scheme not in ("http", "https") or text != _origin_of(text)):
        raise ValueError("an origin is scheme://host[:port], or *")
    return text


def _origin_of(text: str) -> str:
    parts = urlsplit(text)
    return f"{parts.scheme}://{parts.netloc}"


Origin = Annotated[str, AfterValidator(_origin)]


class Settings(ServiceSettings):
    """FILES_…, and the usual AWS_…."""

    model_config = SettingsConfigDict(env_prefix="FILES_")
    said_in_production = (
        *ServiceSettings.said_in_production,
        "jwks_url",
        "appointments_url",
        "bucket",
        "region",
    )

    jwks_url: HTTPURL = f"{_GATEWAY}/.well-known/jwks.json"
    appointments_url: HTTPURL = _GATEWAY
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = "reports"
    region: Annotated[str, Field(validation_alias="AWS_REGION", min_length=1)] = "us-east-1"
    s3_endpoint: HTTPURL | None = None
    s3_public_endpoint: HTTPURL | None = None
    allowed_origins: Annotated[tuple[Origin, ...] | None, NoDecode] = None
    """Whose pages may upload and read; unset: any in development, none in production."""
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 3650
    """For how long versions of deleted files stay."""

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def retention(self) -> timedelta:
        """`retention_days` as a duration."""
        return timedelta(days=self.retention_days)

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """The origins for the bucket's CORS rule; none means no rule."""
        if self.allowed_origins is not None:
            return self.allowed_origins
        return ("*",) if self.environment == "development" else ()
