"""The secrets of a suite on one machine: generated once, kept over restarts, never a default."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from tools.rundir import write_private

ADMIN_EMAIL = "admin@clinic.example"
_RSA_BITS = 2048  # RFC 7518, section 3.3: at least


@dataclass(frozen=True)
class ServiceKey:
    """The RSA key pair by which a service proves who it is (RFC 7523), as PEM files."""

    private: Path
    public: Path


@dataclass(frozen=True)
class Credentials:
    """What `ensure` made or found.

    Attributes:
        admin_password_file: holds the password of the first admin.
        sealing_key: base64url of 32 bytes; seals the private signing keys in the users database.
        service_keys: by the name of the service.
    """

    admin_email: str
    admin_password_file: Path
    sealing_key: str
    service_keys: dict[str, ServiceKey]

    @property
    def admin_password(self) -> str:
        """The password of the first admin."""
        return self.admin_password_file.read_text().strip()


def ensure(directory: Path, services: tuple[str, ...]) -> Credentials:
    """Return the secrets in `directory`, making those that are missing; readable by the owner."""
    password = directory / "admin-password"
    if not password.exists():
        write_private(password, secrets.token_urlsafe(18) + "\n")
    sealing_key = directory / "sealing-key"
    if not sealing_key.exists():
        write_private(sealing_key, urlsafe_b64encode(secrets.token_bytes(32)).decode() + "\n")
    return Credentials(
        admin_email=ADMIN_EMAIL,
        admin_password_file=password,
        sealing_key=sealing_key.read_text().strip(),
        service_keys={service: _service_key(directory, service) for service in services},
    )


def _service_key(directory: Path, service: str) -> ServiceKey:
    key = ServiceKey(
        private=directory / f"{service}-private.pem", public=directory / f"{service}-public.pem"
    )
    if not (key.private.exists() and key.public.exists()):
        # Imported late: it takes longer than all the rest here, and is needed once.
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            PublicFormat,
        )

        private = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_private(key.public, public.decode())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(key.private, pem.decode())
    return key
