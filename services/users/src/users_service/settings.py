"""What this service is told by its environment (the README lists it)."""

import binascii
import ssl
from base64 import b64decode, urlsafe_b64decode
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from servicekit.settings import HTTPURL, ServiceSettings
from users_service.domain.users import check_email


def decoded_key(text: str) -> bytes:
    """32 bytes from base64url, with or without padding. Raises ValueError."""
    try:
        key = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be 32 bytes in base64url") from error
    if len(key) != 32:
        raise ValueError("must be 32 bytes in base64url")
    return key


def _sealing_key(text: object) -> object:
    if isinstance(text, str):
        decoded_key(text)
    return text


def _ciphertext(text: str) -> str:
    try:
        b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be base64, as `aws kms encrypt` prints it") from error
    return text


def _ca_bundle(path: FilePath) -> FilePath:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ValueError("not a file with certificates in PEM") from error
    return path


SealingKey = Annotated[SecretStr, BeforeValidator(_sealing_key)]


class UsersSettings(ServiceSettings):
    """Settings with the prefix USERS_."""

    model_config = SettingsConfigDict(env_prefix="USERS_")
    said_in_production = (*ServiceSettings.said_in_production, "appointments_url", "files_url")

    database_url: SecretStr
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections of one instance; further requests wait for a free one."""
    database_tls_ca: Annotated[FilePath, AfterValidator(_ca_bundle)] | None = None
    """A bundle of certificates (PEM): connections are over TLS, and the server's is verified."""
    database_auth: Literal["password", "rds-iam"] = "password"
    """`rds-iam`: a token made from AWS's credentials for each connection, in a password's place."""
    database_read_url: SecretStr | None = None
    """A replica of the database, which may lag: only the doctors' list is read from it."""
    sealing_key: SealingKey | None = None
    sealing_secret_arn: Annotated[str, Field(min_length=1)] | None = None
    """A secret of AWS Secrets Manager that holds the sealing key, in its place."""
    sealing_kms_key: Annotated[str, Field(min_length=1)] | None = None
    """A key of AWS KMS that decrypts `sealing_ciphertext` to the sealing key, in its place."""
    sealing_ciphertext: Annotated[str, AfterValidator(_ciphertext)] | None = None
    sealing_key_previous: SealingKey | None = None
    """Opens what is sealed with it; nothing new is sealed with it."""
    aws_endpoint: HTTPURL | None = None
    """Of an emulator; unset on AWS."""
    region: Annotated[str, Field(validation_alias="AWS_REGION", min_length=1)] = "us-east-1"
    registration: Literal["open", "verify"] | None = None
    """Whether an e-mail address is confirmed first; None: in production."""
    mail: Literal["off", "ses"] = "off"
    mail_from: Annotated[str, AfterValidator(check_email)] = "clinic@clinic.example"
    ses_endpoint: HTTPURL | None = None
    public_url: HTTPURL = "http://127.0.0.1:8080"
    """What links in mails begin with."""
    refresh_token_days: Annotated[int, Field(ge=1, le=366)] = 30
    session_max_days: Annotated[int, Field(ge=1, le=3660)] = 90
    """After so long a session ends, however much it is used."""
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
    def audit_kept(self) -> timedelta | None:
        """For how long entries of the audit log stay, None for good."""
        return timedelta(days=self.audit_days) if self.audit_days else None

    @property
    def refresh_token_lifetime(self) -> timedelta:
        """How long a refresh token is good."""
        return timedelta(days=self.refresh_token_days)

    @property
    def session_longest(self) -> timedelta:
        """How long a session lasts at most."""
        return timedelta(days=self.session_max_days)

    @property
    def confirms_registrations(self) -> bool:
        """Whether registering takes a token that is mailed."""
        if self.registration is None:
            return self.environment == "production"
        return self.registration == "verify"

    @model_validator(mode="after")
    def _check(self) -> Self:
        driver = _driver("USERS_DATABASE_URL", self.database_url)
        if self.database_read_url is not None:
            _driver("USERS_DATABASE_READ_URL", self.database_read_url)
        if self.argon2_memory_kib < 8 * self.argon2_parallelism:
            raise ValueError("USERS_ARGON2_MEMORY_KIB is at least 8 times the parallelism")
        if self.database_auth == "rds-iam":
            if driver != "mysql+aiomysql":
                raise ValueError("USERS_DATABASE_AUTH=rds-iam is for a mysql+aiomysql:// address")
            if self.database_tls_ca is None:
                # The driver gives a token in clear to whoever asks for it.
                raise ValueError("USERS_DATABASE_AUTH=rds-iam needs USERS_DATABASE_TLS_CA")
        self._check_sealing()
        if self.confirms_registrations and self.mail == "off":
            raise ValueError("USERS_REGISTRATION=verify takes USERS_MAIL=ses")
        return self

    def _check_sealing(self) -> None:
        sources = (self.sealing_key, self.sealing_secret_arn, self.sealing_kms_key)
        if sum(source is not None for source in sources) != 1:
            raise ValueError(
                "one of USERS_SEALING_KEY, USERS_SEALING_SECRET_ARN and USERS_SEALING_KMS_KEY is"
                " set, and no other of them"
            )
        if (self.sealing_kms_key is None) != (self.sealing_ciphertext is None):
            raise ValueError("USERS_SEALING_KMS_KEY and USERS_SEALING_CIPHERTEXT go together")

    def unsafe(self) -> dict[str, str]:
        """What production refuses, and why; by the names of settings."""
        found = super().unsafe()
        for name in ("database_url", "database_read_url"):
            url = getattr(self, name)
            if url is not None and not url.get_secret_value().startswith("mysql+aiomysql:"):
                found[name] = "is a mysql+aiomysql:// address"
        if self.database_tls_ca is None:
            found["database_tls_ca"] = "is set"
        for name, least in (("argon2_memory_kib", 65536), ("argon2_time_cost", 3)):
            if getattr(self, name) < least:
                found[name] = f"is at least {least}"
        for name in ("sealing_key", "sealing_key_previous"):
            key = getattr(self, name)
            if key is not None and _is_made_up(decoded_key(key.get_secret_value())):
                found[name] = "is random"
        if self.mail == "ses":
            for name in ("mail_from", "public_url", "region"):
                if name not in self.model_fields_set:
                    found[name] = "is said where mail is sent"
        elif self.confirms_registrations:
            found["mail"] = "is ses where registrations are confirmed"
        return found


def _driver(variable: str, url: SecretStr) -> str:
    try:
        driver = make_url(url.get_secret_value()).drivername
    except ArgumentError as error:
        raise ValueError(f"{variable} is not a database address") from error
    if driver not in ("sqlite+aiosqlite", "mysql+aiomysql"):
        raise ValueError(f"{variable} is sqlite+aiosqlite:///PATH or mysql+aiomysql://…")
    return driver


def _is_made_up(key: bytes) -> bool:
    """Whether someone typed it: few different bytes, or all in order. No random key is so."""
    return len(set(key)) < 16 or list(key) in (sorted(key), sorted(key, reverse=True))
