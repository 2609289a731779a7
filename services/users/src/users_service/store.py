"""The port to the database: what the use cases need of it, and nothing of how it is done.

Every method may raise StoreUnavailableError. Each is one transaction: all of it happens or none.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from users_service.domain import exports
from users_service.domain.audit import Action, Entry
from users_service.domain.credentials import Credentials, Verified
from users_service.domain.erasures import Backlog, Erasure
from users_service.domain.keys import RegisteredService, SigningKey
from users_service.domain.second_factors import FactorState
from users_service.domain.sessions import Failure, Presented, RefreshToken, Session
from users_service.domain.users import Doctor, Role, Status, User


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which accounts a list has; `text` is folded and looked for in names and addresses."""

    role: Role | None = None
    status: Status | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class DoctorFilter:
    """Which doctors a list has; `text` is folded and looked for in names."""

    specialty: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a list has: from `since` on, and before `until`."""

    actor_id: str | None = None
    subject_id: str | None = None
    action: Action | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """What an account is to be once its e-mail address is confirmed."""

    user: User
    password_hash: str


class UserStore(Protocol):
    """Accounts and doctors. Lists are in the order of ids, behind `after`, which is exclusive.

    Where a method takes an `entry`, the audit log has it if, and only if, the change was made. None
    has a default: that a change leaves no entry is said where it is made.
    """

    async def user(self, user_id: str) -> User | None:
        """One account."""

    async def credentials(self, email_key: str) -> Credentials | None:
        """The account of an e-mail address."""

    async def add_user(self, user: User, password_hash: str, entry: Entry) -> None:
        """Adds an account, and a doctor's profile for a doctor. Raises EmailTakenError."""

    async def change_user(self, before: User, after: User, entry: Entry) -> bool:
        """Replaces an account if it still has the version of `before`; False if it hasn't.

        A doctor gets a profile if there is none, and a new version of it if what it shows of the
        account changes. Disabling ends every refresh family, and every token that was mailed to set
        a password.

        Raises:
            LastAdminError: if no active admin would be left.
        """

    async def change_password_hash(self, user_id: str, before: str, after: str) -> bool:
        """Replaces a hash by another of the same password; False if it isn't `before` any more."""

    async def users(self, chosen: UserFilter, after: str, limit: int) -> list[User]:
        """A page of accounts."""

    async def doctor(self, user_id: str) -> Doctor | None:
        """The profile of an active doctor."""

    async def doctor_in_any_state(self, user_id: str) -> Doctor | None:
        """The profile of a doctor, disabled or not."""

    async def change_doctor(self, before: Doctor, after: Doctor, entry: Entry | None) -> bool:
        """Replaces specialty, bio and acceptance if the profile still has the version of
        `before`; False if it hasn't.
        """

    async def doctors(self, chosen: DoctorFilter, after: str, limit: int) -> list[Doctor]:
        """A page of active doctors."""


class SessionStore(Protocol):
    """Refresh tokens, and failed logins. An `entry` is stored as in UserStore."""

    async def begin_family(
        self,
        verified: Verified,
        first: RefreshToken,
        now: datetime,
        client: str | None,
        entry: Entry,
    ) -> bool:
        """Stores a new family with its first token, and what signed in.

        False, and nothing stored, if what the login has verified is not so any more: whatever else
        ends the account's families wouldn't know of one that begins a moment later.
        """

    async def presented(self, digest: str) -> Presented | None:
        """What is known of a refresh token."""

    async def spend(self, digest: str, successor: RefreshToken, now: datetime) -> bool:
        """Spends a token and stores its successor; False, and nothing spent, if it was before.

        The family is marked as used now.
        """

    async def end_family(self, family_id: str, now: datetime, entry: Entry) -> None:
        """Ends a family; none of its tokens counts any more."""

    async def sessions(
        self, user_id: str, now: datetime, after: str, limit: int
    ) -> Sequence[Session]:
        """A page of an account's families that have a token to use, in the order of ids."""

    async def end_session(self, user_id: str, family_id: str, now: datetime, entry: Entry) -> bool:
        """Ends a family of that account; False if it has no such one that goes on."""

    async def failures(self, address: str, since: datetime, limit: int) -> Sequence[Failure]:
        """The newest failed logins from an address, newest first."""

    async def add_failure(self, address: str, failure: Failure, entry: Entry | None) -> None:
        """Remembers a failed login."""

    async def reserve_attempt(self, address: str, failure: Failure) -> int:
        """Remembers an attempt as failed before it is made; by what to take it back."""

    async def release_attempt(self, attempt: int) -> None:
        """Forgets an attempt that didn't fail."""


class FactorStore(Protocol):
    """Second factors, their recovery codes, and of whom they are required.

    An `entry` is stored as in UserStore.
    """

    async def factor_state(self, user_id: str) -> FactorState:
        """An account's second factor, and the roles that must have one."""

    async def begin_factor(self, user_id: str, sealed: str, now: datetime) -> bool:
        """Stores a factor to be confirmed, in the place of another such one.

        False, and nothing done, if a confirmed one is there.
        """

    async def confirm_factor(
        self,
        user_id: str,
        sealed: str,
        step: int,
        codes: Sequence[str],
        kept: str,
        now: datetime,
        entry: Entry,
    ) -> bool:
        """Confirms this very factor by the code of a step; False if it isn't there to confirm.

        Args:
            codes: the digests of the recovery codes.
            kept: the family that goes on; the account's others end.
        """

    async def use_step(self, user_id: str, sealed: str, step: int) -> bool:
        """Uses up a step of this very, confirmed factor, and those before it; False if it was."""

    async def use_recovery_code(self, user_id: str, digest: str) -> bool:
        """Uses up a recovery code; False if there is no such one."""

    async def replace_recovery_codes(
        self, user_id: str, sealed: str, digests: Sequence[str], entry: Entry
    ) -> bool:
        """Replaces all recovery codes; False if this very factor isn't there, confirmed."""

    async def recovery_codes_left(self, user_id: str) -> int:
        """How many are not used up."""

    async def remove_factor(self, user_id: str, entry: Entry) -> bool:
        """Removes a factor and its recovery codes; whether there was a confirmed one."""

    async def sealed_factors(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        """A page of accounts' ids and their factors' sealed secrets, behind the id `after`."""

    async def reseal_factor(self, user_id: str, before: str, after: str) -> bool:
        """Replaces how a factor's secret is sealed, if that is still `before`."""

    async def factor_roles(self) -> frozenset[Role]:
        """The roles that must have a second factor."""

    async def save_factor_roles(self, roles: frozenset[Role], now: datetime, entry: Entry) -> None:
        """Replaces them."""


class KeyStore(Protocol):
    """Signing keys, registered services, and which of their assertions were used.

    An `entry` is stored as in UserStore.
    """

    async def signing_keys(self) -> Sequence[SigningKey]:
        """All keys."""

    async def add_signing_key(self, key: SigningKey, entry: Entry) -> bool:
        """Adds a key; False if its generation is there already."""

    async def retire_signing_key(
        self, key_id: str, others: Collection[str], now: datetime, entry: Entry
    ) -> bool:
        """Retires a key; False, and nothing done, if all of `others` are retired meanwhile."""

    async def reseal_signing_key(self, key_id: str, before: str, after: str) -> bool:
        """Replaces how a key is sealed, if that is still `before`."""

    async def registered_service(self, name: str) -> RegisteredService | None:
        """One service."""

    async def save_service(self, service: RegisteredService, now: datetime, entry: Entry) -> None:
        """Registers a service, or replaces its registration."""

    async def use_assertion(
        self, service: str, token_id: str, expires_at: datetime, entry: Entry
    ) -> bool:
        """Marks an assertion's `jti` as used until it expires; False if it was used before."""


class PendingStore(Protocol):
    """What waits for a mailed token, known by its digest; and replaced passwords.

    Whatever replaces a password ends every refresh family of the account, and every token that
    sets another.
    """

    async def replace_password(
        self, user_id: str, before: str, after: str, now: datetime, entry: Entry
    ) -> bool:
        """Replaces a password's hash if it is still `before`; False, and nothing done, if not."""

    async def add_reset(
        self, email_key: str, digest: str, expires_at: datetime, entry: Entry
    ) -> bool:
        """Stores a token's digest for the active account of an address; whether there is one.

        The entry is stored in either case: what is written takes its time, which must not tell.
        """

    async def reset_for(self, digest: str, now: datetime) -> User | None:
        """The active account whose password a token may set."""

    async def use_reset(
        self, digest: str, user_id: str, after: str, now: datetime, entry: Entry
    ) -> bool:
        """Spends a token and sets a password's hash; False, and nothing done, if it was spent."""

    async def add_registration(
        self, digest: str, registration: Registration, expires_at: datetime
    ) -> None:
        """Stores what an account is to be once a token is confirmed."""

    async def registered_hash(self, digest: str, now: datetime) -> str | None:
        """The hash of the password that a registration was made with; None if there is none."""

    async def use_registration(
        self, digest: str, user_id: str, now: datetime, entry: Entry
    ) -> User | None:
        """Spends a token and adds its account; None, and nothing done, if it isn't good.

        Raises:
            EmailTakenError: the address has an account by now; nothing is done.
        """


class AuditStore(Protocol):
    """The audit log: what is in it can be read, and not be changed."""

    async def add_entry(self, entry: Entry) -> None:
        """Adds an entry that belongs to no change."""

    async def entries(self, chosen: AuditFilter, before: str, limit: int) -> Sequence[Entry]:
        """A page, newest first: those before the id `before`, which is exclusive; "" for all."""

    async def forget_entries(self, until: datetime) -> int:
        """Deletes the entries made before a moment, whose time is over; how many."""


class ClosingStore(Protocol):
    """Closed accounts, and what is to be erased of them elsewhere."""

    async def close_user(self, before: User, after: User, entry: Entry) -> bool:
        """Replaces an account by what stays of it, closed, if it still has the version of
        `before`; False if it hasn't.

        All else that is stored of the person goes with it, every refresh family ends, and an
        erasure is due.

        Raises:
            LastAdminError: if no active admin would be left.
        """

    async def take_erasure(self, now: datetime, until: datetime) -> Erasure | None:
        """An erasure that is due: of all who ask, it is one's alone until then."""

    async def put_off_erasure(
        self, taken: Erasure, next_try_at: datetime, attempts: int
    ) -> Erasure | None:
        """Gives an erasure another time, the lease's new end or the next try; None, and nothing
        done, if it was somebody else's meanwhile.
        """

    async def finish_erasure(self, taken: Erasure, now: datetime) -> bool:
        """Notes that it is done; False, and nothing done, if it was somebody else's meanwhile."""

    async def erasures_pending(self) -> Backlog:
        """How many are not done, and when the next is due."""


class ExportStore(Protocol):
    """What is stored of a person."""

    async def doctor_in_any_state(self, user_id: str) -> Doctor | None:
        """The profile of a doctor."""

    async def stored_sessions(self, user_id: str) -> Sequence[exports.Session]:
        """All sign-ins, as far as they are kept, oldest first."""

    async def stored_second_factor(self, user_id: str) -> exports.SecondFactor | None:
        """The second factor, confirmed or not."""


class Store(
    UserStore,
    SessionStore,
    FactorStore,
    KeyStore,
    AuditStore,
    ClosingStore,
    ExportStore,
    PendingStore,
    Protocol,
):
    """All of it."""

    async def ping(self) -> None:
        """Raises StoreUnavailableError if the database is away, or not migrated as needed."""

    async def forget(self, now: datetime) -> int:
        """Deletes some of what no longer counts; how much of it, 0 if there is nothing left."""
