"""What the service is told by its environment."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from servicekit.settings import HTTPURL, ServiceSettings

_GATEWAY = "http://127.0.0.1:8080"


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
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 3650
    """For how long versions of deleted files stay."""

    @property
    def retention(self) -> timedelta:
        """`retention_days` as a duration."""
        return timedelta(days=self.retention_days)
