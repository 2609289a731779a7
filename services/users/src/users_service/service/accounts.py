"""Accounts: registering, looking up, changing; and the doctors' directory."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from servicekit.ids import new_id
from users_service.domain.audit import SYSTEM, Action, Entry, Origin, field_names
from users_service.domain.passwords import check_password
from users_service.domain.users import (
    Doctor,
    Role,
    Status,
    User,
    check_birth_date,
    email_key,
    folded,
    may_see,
    may_see_name,
)
from users_service.errors import (
    EmailTakenError,
    InvalidAccountError,
    NotAllowedError,
    UnknownDoctorError,
    UnknownUserError,
    VersionMismatchError,
)
from users_service.service.audit import Audit
from users_service.service.passwords import PasswordHasher
from users_service.store import DoctorFilter, UserFilter, UserStore

Versions = frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Leases:
    """What others were told of a doctor they may rely on for so many seconds.

    So a change of whether a doctor can be booked is answered only when every lease given before it
    has lapsed: whoever asks after the answer meets nobody who still believes the old state.
    """

    seconds: int
    wait: Callable[[float], Awaitable[None]]

    async def lapse(self) -> None:
        """Returns when no lease is left that was given before now."""
        if self.seconds:
            await self.wait(self.seconds)


_ADMIN_FIELDS = frozenset({"role", "status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """What is said of an account that is to be."""

    email: str
    password: str
    full_name: str
    role: Role = Role.PATIENT
    timezone: str = "UTC"
    phone: str | None = None
    birth_date: date | None = None


def check_new_account(new: NewAccount, now: datetime) -> None:
    """Raises WeakPasswordError, InvalidFieldError."""
    check_birth_date(new.birth_date, now)
    check_password(new.password, email=new.email, full_name=new.full_name)


def made_account(new: NewAccount, now: datetime) -> User:
    """An active account, made now of what was said of it."""
    return User(
        id=new_id(now),
        email=new.email,
        full_name=new.full_name,
        role=new.role,
        timezone=new.timezone,
        phone=new.phone,
        birth_date=new.birth_date,
        status=Status.ACTIVE,
        version=1,
        created_at=now,
        updated_at=now,
    )


class Accounts:
    """The use cases about accounts."""

    def __init__(
        self,
        store: UserStore,
        passwords: PasswordHasher,
        clock: Callable[[], datetime],
        leases: Leases,
        audit: Audit,
    ) -> None:
        self._audit = audit
        self._store = store
        self._passwords = passwords
        self._clock = clock
        self._leases = leases

    async def create(self, new: NewAccount, origin: Origin) -> User:
        """A new, active account. Raises WeakPasswordError, InvalidFieldError, EmailTakenError."""
        now = self._clock()
        check_new_account(new, now)
        user = made_account(new, now)
        made = self._audit.entry(Action.ACCOUNT_MADE, origin, user.id, details=f"role={user.role}")
        await self._store.add_user(user, await self._passwords.hash(new.password), made)
        return user

    async def ensure(self, new: NewAccount) -> bool:
        """Creates the account if nobody has its address; whether it did. Raises as `create`.

        For commands: no request is its origin.
        """
        if await self._store.credentials(email_key(new.email)) is not None:
            return False
        try:
            await self.create(new, SYSTEM)
        except EmailTakenError:
            return False
        return True

    async def active(self, user_id: str) -> User:
        """The account that a token speaks for. Raises InvalidAccountError."""
        user = await self._store.user(user_id)
        if user is None or not user.is_active:
            raise InvalidAccountError("the account is disabled or closed")
        return user

    async def user(self, user_id: str, action: Action, origin: Origin) -> User:
        """Any account, for what a service may do with it. Raises UnknownUserError."""
        user = await self._found(user_id)
        await self._audit.record(action, origin, user_id)
        return user

    async def seen_by(self, viewer: User, user_id: str, origin: Origin) -> User:
        """An account of which the viewer may see at least the name. Raises UnknownUserError."""
        if viewer.id == user_id:
            return viewer
        user = await self._found(user_id)
        if not may_see_name(viewer, user):
            raise UnknownUserError("no such user")
        action = Action.ACCOUNT_READ if may_see(viewer, user) else Action.NAME_READ
        await self._audit.record(action, origin, user_id)
        return user

    async def _found(self, user_id: str) -> User:
        user = await self._store.user(user_id)
        if user is None:
            raise UnknownUserError("no such user")
        return user

    async def list(self, chosen: UserFilter, after: str, limit: int, origin: Origin) -> list[User]:
        """A page of accounts in the order in which they were made."""
        folding = replace(chosen, text=folded(chosen.text))
        found = await self._store.users(folding, after, limit)
        used = {"role": chosen.role, "status": chosen.status, "q": chosen.text}
        details = field_names(name for name, value in used.items() if value)
        await self._audit.record(Action.ACCOUNTS_LISTED, origin, details=details)
        return found

    async def change(
        self,
        actor: User,
        user_id: str,
        changes: Mapping[str, Any],
        versions: Versions,
        origin: Origin,
    ) -> User:
        """The account with some fields changed; the same version if that changes nothing.

        Args:
            changes: fields of User by name; `role` and `status` are an admin's to change.
            versions: of which it must be one; None for any.

        Raises:
            UnknownUserError: there is none that the actor may see.
            NotAllowedError: the account, or one of the fields, isn't the actor's to change.
            VersionMismatchError: it isn't one of `versions`.
            LastAdminError: no active admin would be left.
            InvalidFieldError: a birth date out of range.
        """
        check_birth_date(changes.get("birth_date"), self._clock())
        while True:
            before = await self._store.user(user_id)
            if before is None or not may_see_name(actor, before):
                raise UnknownUserError("no such user")
            if not may_see(actor, before):
                raise NotAllowedError("only the account's own and admins change it")
            if _ADMIN_FIELDS & changes.keys() and actor.role is not Role.ADMIN:
                raise NotAllowedError("only an admin changes role and status")
            if versions is not None and before.version not in versions:
                raise VersionMismatchError(f"the version is {before.version}")
            changed = replace(before, **changes)
            if changed == before:
                return before
            after = replace(changed, version=before.version + 1, updated_at=self._clock())
            entry = self._changed(before, changed, origin)
            if await self._store.change_user(before, after, entry):
                if _is_listed(before) and not _is_listed(after):
                    await self._leases.lapse()
                return after
            # Somebody else changed it in between: look again.

    def _changed(self, before: User, after: User, origin: Origin) -> Entry:
        """Which fields, by name; of role and status, which are words of ours, also to what."""
        told = {
            name: f"{name}={getattr(after, name)}" if name in _ADMIN_FIELDS else name
            for name in User.__slots__
            if getattr(after, name) != getattr(before, name)
        }
        return self._audit.entry(
            Action.ACCOUNT_CHANGED, origin, before.id, details=field_names(told.values())
        )


def _is_listed(user: User) -> bool:
    """Whether the doctors' directory shows the account."""
    return user.role is Role.DOCTOR and user.is_active


class Directory:
    """The use cases about doctors."""

    def __init__(self, store: UserStore, leases: Leases, audit: Audit) -> None:
        self._store = store
        self._leases = leases
        self._audit = audit

    @property
    def lease_seconds(self) -> int:
        """For how long what is told of a doctor may be relied on."""
        return self._leases.seconds

    async def doctor(self, user_id: str) -> Doctor:
        """An active doctor. Raises UnknownDoctorError."""
        doctor = await self._store.doctor(user_id)
        if doctor is None:
            raise UnknownDoctorError("no such doctor")
        return doctor

    async def list(self, chosen: DoctorFilter, after: str, limit: int) -> list[Doctor]:
        """A page of active doctors in the order in which their accounts were made."""
        return await self._store.doctors(replace(chosen, text=folded(chosen.text)), after, limit)

    async def describe(
        self,
        actor: User,
        user_id: str,
        *,
        specialty: str,
        bio: str,
        accepting_patients: bool,
        versions: Versions,
        origin: Origin,
    ) -> Doctor:
        """The doctor with another description; the same version if that changes nothing.

        Recorded when it is another who describes.

        Raises:
            UnknownDoctorError: there is no such doctor.
            NotAllowedError: the actor is neither this doctor nor an admin.
            VersionMismatchError: it isn't one of `versions`.
        """
        while True:
            may_change = actor.id == user_id or actor.role is Role.ADMIN
            before = await (
                self._store.doctor_in_any_state(user_id)
                if may_change
                else self._store.doctor(user_id)
            )
            if before is None:
                raise UnknownDoctorError("no such doctor")
            if not may_change:
                raise NotAllowedError("only the doctor and admins change this")
            if versions is not None and before.version not in versions:
                raise VersionMismatchError(f"the version is {before.version}")
            changed = replace(
                before, specialty=specialty, bio=bio, accepting_patients=accepting_patients
            )
            if changed == before:
                return before
            after = replace(changed, version=before.version + 1)
            entry = None
            if actor.id != user_id:
                entry = self._audit.entry(Action.DOCTOR_DESCRIBED, origin, user_id)
            if await self._store.change_doctor(before, after, entry):
                if before.accepting_patients != after.accepting_patients:
                    await self._leases.lapse()
                return after
