"""What this service is told by its environment."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from servicekit.settings import PrivateKeyFile, ServiceSettings
from servicekit.wire import zone_name

# In production these must be said: a default that fits one machine would be wrong in silence.
_SAID_IN_PRODUCTION = (
    ("token_issuer", "APPOINTMENTS_TOKEN_ISSUER"),
    ("token_audience", "APPOINTMENTS_TOKEN_AUDIENCE"),
    ("jwks_url", "APPOINTMENTS_JWKS_URL"),
    ("users_url", "APPOINTMENTS_USERS_URL"),
    ("table", "APPOINTMENTS_TABLE"),
    ("clinic_timezone", "APPOINTMENTS_CLINIC_TIMEZONE"),
    ("region", "AWS_REGION"),
)


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http or https URL")
    return text


HTTPURL = Annotated[str, AfterValidator(_http_url)]


class Settings(ServiceSettings):
    """All have the prefix APPOINTMENTS_, except ENVIRONMENT and AWS_REGION."""

    model_config = SettingsConfigDict(env_prefix="APPOINTMENTS_")

    jwks_url: HTTPURL = "http://127.0.0.1:8080/.well-known/jwks.json"
    users_url: HTTPURL = "http://127.0.0.1:8080"
    """Where users is reached: the gateway, or the internal load balancer."""
    users_deadline_seconds: Annotated[float, Field(gt=0, le=30)] = 2.0
    table: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")] = "appointments"
    dynamodb_endpoint: HTTPURL | None = None
    """Of an emulator; unset on AWS."""
    region: Annotated[str, Field(validation_alias="AWS_REGION", min_length=1)] = "us-east-1"
    clinic_timezone: Annotated[str, AfterValidator(zone_name)] = "UTC"
    """Whose dates analytics counts by. Changing it later takes a recount of all tallies."""
    service_key_file: PrivateKeyFile | None = None
    """PEM of the private key with which this service signs in to users."""

    @model_validator(mode="after")
    def _require_in_production(self) -> Self:
        if self.environment == "production":
            given = self.model_fields_set
            missing = [variable for name, variable in _SAID_IN_PRODUCTION if name not in given]
            if missing:
                raise ValueError(f"production takes no default for {', '.join(missing)}")
        return self
