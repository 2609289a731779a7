"""What this service is told by its environment."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from servicekit.settings import HTTPURL, PrivateKeyFile, ServiceSettings
from servicekit.wire import zone_name


class Settings(ServiceSettings):
    """All have the prefix APPOINTMENTS_, except ENVIRONMENT and AWS_REGION."""

    model_config = SettingsConfigDict(env_prefix="APPOINTMENTS_")
    said_in_production = (
        *ServiceSettings.said_in_production,
        "jwks_url",
        "users_url",
        "table",
        "clinic_timezone",
        "region",
    )

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
    offer_minutes: Annotated[int, Field(ge=10, le=10_080)] = 60
    """How long a time is held at most for somebody who waits for one."""
    service_key_file: PrivateKeyFile | None = None
    """PEM of the private key with which this service signs in to users."""
