"""What this service is told by its environment."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from servicekit.settings import HTTPURL, PrivateKeyFile, ServiceSettings
from servicekit.wire import zone_name

_is_address = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+\Z", re.ASCII).match
_is_locale = re.compile(r"[a-z]{2,3}(_[A-Z][a-z]{3})?(_([A-Z]{2}|[0-9]{3}))?\Z", re.ASCII).match


def _address(text: str) -> str:
    if not _is_address(text):
        raise ValueError("must be a plain e-mail address")
    return text


def _locale(text: str) -> str:
    # A look at its files: Babel itself takes memory, and is loaded by the first mail.
    spec = find_spec("babel")
    folders = (spec.submodule_search_locations if spec is not None else None) or []
    if not _is_locale(text) or not any(
        Path(folder, "locale-data", f"{text}.dat").is_file() for folder in folders
    ):
        raise ValueError("must be a locale that Unicode's CLDR has, such as en, en_GB or de_AT")
    return text


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
    audit_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 3600
    """Between two rounds of the audit that looks for what must never be; 0 turns it off."""
    service_key_file: PrivateKeyFile | None = None
    """PEM of the private key with which this service signs in to users."""
    mail: Literal["off", "ses"] = "off"
    mail_from: Annotated[str, AfterValidator(_address)] = "clinic@clinic.example"
    mail_locale: Annotated[str, AfterValidator(_locale)] = "en"
    """How dates in mails are written."""
    mail_senders: Annotated[int, Field(ge=0, le=32)] = 4
    """Mails that this instance sends at once; 0 leaves all to others."""
    ses_endpoint: HTTPURL | None = None
    public_url: HTTPURL = "http://127.0.0.1:8080"
    """Where patients sign in, as mails say it."""

    @model_validator(mode="after")
    def _have_a_key_to_ask_for_addresses_with(self) -> Self:
        if self.mail == "ses" and self.service_key_file is None:
            raise ValueError("APPOINTMENTS_MAIL=ses takes APPOINTMENTS_SERVICE_KEY_FILE")
        return self

    def unsafe(self) -> dict[str, str]:
        """What production refuses, and why; by the names of settings."""
        found = super().unsafe()
        if self.mail == "off":
            found.pop("public_url", None)
            return found
        unsaid = {"mail_from", "public_url"} - self.model_fields_set
        return found | dict.fromkeys(sorted(unsaid), "is said where mail is sent")
