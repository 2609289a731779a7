"""Second factors: one-time passwords by time (RFC 6238), and codes for when the device is lost."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from users_service.domain.users import Role

STEP_SECONDS: Final = 30
DIGITS: Final = 6
SECRET_BYTES: Final = 20  # RFC 4226, 4: as long as the hash
RECOVERY_CODES: Final = 10
ISSUER: Final = "Appointment Analytics"  # what an authenticator shows beside the address

ENROLLING: Final = "enrolling"
"""The role in the access token of an account that must have a second factor and has none."""

FACTOR_ROLES: Final = frozenset({Role.DOCTOR, Role.ADMIN})
"""The roles of which a second factor can be required."""

_DRIFT: Final = 1  # steps that a device's clock, or its owner, may be early or late
_RECOVERY_BYTES: Final = 15  # 120 bits: a plain digest keeps what has 112 or more (ASVS 6.5.2)
_GROUP: Final = 4


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """What is stored of one; `sealed` is its secret, which only the sealing key opens."""

    sealed: str
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class FactorState:
    """An account's second factor, if it has one, and the roles that must have one."""

    factor: SecondFactor | None
    required_of: frozenset[Role]

    @property
    def confirmed(self) -> SecondFactor | None:
        """The factor that a login asks for; one that was only begun is none."""
        return self.factor if self.factor and self.factor.confirmed_at is not None else None

    def must_enrol(self, role: Role) -> bool:
        """Whether an account of this role may do no more than set up its factor."""
        return role in self.required_of and self.confirmed is None


def new_secret() -> bytes:
    """A secret to share with an authenticator."""
    return secrets.token_bytes(SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """The secret as people type it: base32, no padding needed for its length."""
    return base64.b32encode(secret).decode()


def otpauth_uri(secret: bytes, email: str) -> str:
    """What a QR code for an authenticator holds (Google Authenticator's key URI format)."""
    label = quote(f"{ISSUER}:{email}", safe=":@")
    parameters = {
        "secret": secret_text(secret),
        "issuer": ISSUER,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": STEP_SECONDS,
    }
    return f"otpauth://totp/{label}?{urlencode(parameters, quote_via=quote)}"


def step_of(now: datetime) -> int:
    """The number of the step that a moment is in (RFC 6238, 4.2)."""
    return int(now.timestamp()) // STEP_SECONDS


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of one step (RFC 4226, 5.3, with the step as the counter)."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def matching_step(secret: bytes, code: str, now: datetime) -> int | None:
    """The step near this moment whose code it is; None if it is none's."""
    current = step_of(now)
    typed = plain_code(code).encode()
    found = None
    # All are computed and compared, whichever it is: the time says nothing of the code.
    for step in range(current - _DRIFT, current + _DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), typed):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Ten codes of six groups of four letters and digits, each good once instead of a code."""
    return [_grouped(secrets.token_bytes(_RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]


def _grouped(drawn: bytes) -> str:
    text = base64.b32encode(drawn).decode().lower()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def plain_code(code: str) -> str:
    """A code without what people write between its parts, and in one case."""
    return "".join(code.split()).replace("-", "").lower()


def recovery_digest(code: str) -> str:
    """Under which a recovery code is stored: 64 hex digits."""
    return hashlib.sha256(plain_code(code).encode()).hexdigest()
