"""The wire: what the contract says of users, as pydantic models."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
    WithJsonSchema,
)

from servicekit.paging import Page, Paged
from servicekit.wire import Date, Id, Instant, Wire, ZoneName
from users_service.domain import users as domain
from users_service.domain.audit import Action
from users_service.domain.passwords import MAX_LENGTH, MIN_LENGTH
from users_service.domain.users import EMAIL_LENGTH, Role, Status

# `+351 912 345 678`, `(02) 555-1234 x 12`: what people write, with at least three digits.
_phone = re.compile(r"\+?[0-9()./ x-]{3,39}\Z", re.ASCII).match


def _check_phone(text: str) -> str:
    if not _phone(text) or sum(map(str.isdigit, text)) < 3:
        raise ValueError("not a telephone number")
    return text


def _text(most: int) -> Any:
    return StringConstraints(min_length=1, max_length=most)


Email = Annotated[
    str,
    AfterValidator(domain.check_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": EMAIL_LENGTH}),
]
FullName = Annotated[str, _text(200), AfterValidator(domain.check_line)]
Specialty = Annotated[str, _text(100), AfterValidator(domain.check_line)]
Bio = Annotated[str, StringConstraints(max_length=4000)]
Phone = Annotated[str, AfterValidator(_check_phone), WithJsonSchema({"type": "string"})]
# Its length is the domain's to judge, as all that makes a password weak: one code for all of it.
NewPassword = Annotated[
    str, WithJsonSchema({"type": "string", "minLength": MIN_LENGTH, "maxLength": MAX_LENGTH})
]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
# `?role=` says the same as no role at all.
_OrNone = BeforeValidator(lambda value: None if value == "" else value)
Search = Annotated[str, StringConstraints(max_length=200)]
SpecialtySearch = Annotated[str, StringConstraints(max_length=100)]


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out of a patch stays as it is: the fields' defaults are never used."""
    for field in schema["properties"].values():
        field.pop("default", None)


class Registration(Wire):
    """What anyone says to have an account."""

    email: Email
    password: NewPassword
    full_name: FullName
    timezone: ZoneName = "UTC"
    phone: Phone | None = None
    birth_date: Date | None = None


class NewUser(Registration):
    """What an admin says to make one, of any role."""

    role: Role


class OwnPatch(Wire):
    """What people change of their own account; a field that is left out stays."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    full_name: FullName = ""
    timezone: ZoneName = ""
    phone: Phone | None = None
    birth_date: Date | None = None


class UserPatch(OwnPatch):
    """What admins change of any account besides."""

    role: Role = Role.PATIENT
    status: Status = Status.ACTIVE


class User(Wire):
    """An account."""

    id: Id
    email: str
    full_name: str
    role: Role
    timezone: str
    phone: str | None
    birth_date: Date | None
    status: Status
    version: int
    created_at: Instant
    updated_at: Instant


class NamedUser(Wire):
    """As much of a patient as a doctor may see."""

    id: Id
    full_name: str


class UserOrName(RootModel[User | NamedUser]):
    """The account, or for a doctor its name."""


class Identity(Wire):
    """Who an id is, for another service."""

    id: Id
    full_name: str
    role: Role
    status: Status


class Contact(Wire):
    """How to reach a person, for another service."""

    email: str
    full_name: str
    timezone: str
    phone: str | None


class UsersQuery(Paged):
    """Which accounts; `q` is part of a name or an e-mail address, in any case."""

    role: Annotated[Role | None, _OrNone] = None
    status: Annotated[Status | None, _OrNone] = None
    q: Search = ""


class UserPage(Page[User]):
    """A page of accounts."""


class Doctor(Wire):
    """A doctor, as everybody sees them."""

    id: Id
    full_name: str
    specialty: str
    bio: str
    timezone: str
    accepting_patients: bool
    version: int


class Description(Wire):
    """What a doctor says of themselves."""

    specialty: Specialty
    bio: Bio
    accepting_patients: bool


class DoctorsQuery(Paged):
    """Which doctors; `specialty` is the whole of it in any case, `q` a part of the name."""

    specialty: Annotated[SpecialtySearch | None, _OrNone] = None
    q: Search = ""


class DoctorPage(Page[Doctor]):
    """A page of doctors."""


class Login(Wire):
    """An e-mail address and its password."""

    email: Annotated[str, StringConstraints(min_length=1, max_length=EMAIL_LENGTH)]
    password: Secret
    otp: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None, description="a second factor's code, where one is set up"
    )


class PasswordChange(Wire):
    """The present password, and the one that is to be."""

    current_password: Secret
    new_password: NewPassword


class PasswordReset(Wire):
    """Whose password was forgotten."""

    email: Email


class NewPasswordByToken(Wire):
    """A mailed token, and the password that is to be."""

    token: Secret
    new_password: NewPassword


class RegistrationToken(Wire):
    """A mailed token, and the password that was registered."""

    token: Secret
    password: Secret


class RefreshToken(Wire):
    """A refresh token."""

    refresh_token: Secret


class TokenPair(Wire):
    """What a sign-in gives; `expires_in` is the access token's, in seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a type, not a secret
    expires_in: int
    refresh_token: str


class Assertion(Wire):
    """A service's proof of who it is: a JWT that it signed (RFC 7523)."""

    client_assertion: Annotated[str, StringConstraints(min_length=1, max_length=8192)]


class ServiceToken(Wire):
    """A service's access token."""

    access_token: str
    expires_in: int


class JWK(Wire):
    """A public key (RFC 7517)."""

    kty: Literal["RSA"]
    use: Literal["sig"]
    alg: Literal["RS256"]
    kid: str
    n: str
    e: str


class JWKS(Wire):
    """The public keys."""

    keys: list[JWK]


# Of an account or a service, or of nobody at all: then nothing is found.
AnyId = Annotated[str, StringConstraints(max_length=80)]


class AuditQuery(Paged):
    """Which entries; `from` is included, `to` is not."""

    actor_id: Annotated[AnyId | None, _OrNone] = None
    subject_id: Annotated[AnyId | None, _OrNone] = None
    action: Annotated[Action | None, _OrNone] = None
    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None


class AuditEntry(Wire):
    """What was done: by whom, to whom, from where. An account that is closed leaves its id."""

    id: Id
    at: Instant
    action: str
    outcome: str
    actor_id: str | None
    actor_role: str | None
    subject_id: str | None
    address: str | None
    request_id: str | None
    details: str


class AuditPage(Page[AuditEntry]):
    """A page of the audit log, newest first."""


class ExportedSession(Wire):
    """One sign-in and what came of it."""

    id: Id
    created_at: Instant
    last_used_at: Instant | None
    ended_at: Instant | None
    client: str | None


class ExportedSecondFactor(Wire):
    """That there is a second factor, and since when it counts."""

    created_at: Instant
    confirmed_at: Instant | None


class Export(Wire):
    """All that is stored of a person. Of entries of the waiting list, and of appointments, with
    `history` and `files`, the documents of their services tell.
    """

    exported_at: Instant
    account: User
    doctor: Doctor | None
    second_factor: ExportedSecondFactor | None
    sessions: list[ExportedSession]
    waitlist: list[dict[str, Any]]
    appointments: list[dict[str, Any]]


class Session(Wire):
    """Somewhere the caller is signed in; `client` is what the program called itself at login."""

    id: Id
    created_at: Instant
    last_used_at: Instant
    client: str | None
    current: bool


class SessionPage(Page[Session]):
    """A page of sessions."""


Code = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class PasswordAgain(Wire):
    """The caller's password, once more."""

    password: Secret


class FactorCode(Wire):
    """A code of the second factor."""

    code: Code


class PasswordAndCode(PasswordAgain):
    """Both of what a login takes."""

    code: Code


class NewFactor(Wire):
    """What an authenticator is told: the secret in base32, or the URI as a QR code."""

    secret: str
    uri: str


class RecoveryCodes(Wire):
    """Codes that are each good once instead of the second factor's; shown this once."""

    recovery_codes: list[str]


class FactorStatus(Wire):
    """The caller's second factor."""

    enabled: bool
    confirmed_at: Instant | None
    recovery_codes_left: int
    required: bool


class FactorPolicy(Wire):
    """The roles that must have a second factor."""

    roles: Annotated[list[Literal[Role.DOCTOR, Role.ADMIN]], Field(max_length=2)]
