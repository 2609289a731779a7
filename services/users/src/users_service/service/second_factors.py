"""Second factors: setting up, asking for, and taking away."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from users_service.domain.audit import SYSTEM, Action, Origin, Outcome
from users_service.domain.mails import (
    codes_made_letter,
    factor_removed_letter,
    factor_set_letter,
)
from users_service.domain.second_factors import (
    FACTOR_ROLES,
    FactorState,
    SecondFactor,
    matching_step,
    new_recovery_codes,
    new_secret,
    otpauth_uri,
    recovery_digest,
    secret_text,
)
from users_service.domain.sessions import email_digest
from users_service.domain.users import Role, User, email_key
from users_service.errors import (
    BadCredentialsError,
    NoSecondFactorError,
    NotAllowedError,
    SecondFactorRequiredError,
    SecondFactorSetError,
    UnknownUserError,
    WrongCodeError,
)
from users_service.service.attempts import Attempts
from users_service.service.audit import Audit
from users_service.service.keys import Sealing
from users_service.service.mails import Mails
from users_service.service.passwords import PasswordHasher
from users_service.store import Store

Used = Literal["second_factor", "recovery_code"]
"""What somebody has shown besides the password; a word of the audit log."""


@dataclass(frozen=True, slots=True)
class NewFactor:
    """What an authenticator is told: the secret as text, or the URI in a QR code."""

    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class FactorStatus:
    """What its owner may know of a second factor."""

    confirmed_at: datetime | None
    recovery_codes_left: int
    required: bool


class SecondFactors:
    """The use cases about second factors.

    Args:
        sealing: for the secrets; bound to the account, so that none serves another.
    """

    def __init__(
        self,
        store: Store,
        passwords: PasswordHasher,
        attempts: Attempts,
        sealing: Sealing,
        mails: Mails,
        clock: Callable[[], datetime],
        audit: Audit,
    ) -> None:
        self._audit = audit
        self._store = store
        self._passwords = passwords
        self._attempts = attempts
        self._sealing = sealing
        self._mails = mails
        self._clock = clock

    async def state(self, user: User) -> FactorState:
        """An account's factor, and whether it must have one."""
        return await self._store.factor_state(user.id)

    async def admits(self, user: User, factor: SecondFactor, otp: str | None) -> Used | None:
        """By what an account whose password was right may sign in; None if the code is wrong.

        Raises:
            SecondFactorRequiredError: there is no code.
            TooManyAttemptsError: too many wrong ones lately, from wherever.
        """
        if otp is None:
            raise SecondFactorRequiredError("the account has a second factor: send its code")
        return await self._uses(user.id, factor, otp)

    async def must_enrol(self, user: User) -> bool:
        """Whether an account may do no more for now than set up its second factor."""
        if user.role not in FACTOR_ROLES:
            return False
        return (await self._store.factor_state(user.id)).must_enrol(user.role)

    async def status(self, user: User) -> FactorStatus:
        """An account's factor as its owner sees it."""
        state = await self._store.factor_state(user.id)
        confirmed = state.confirmed
        return FactorStatus(
            confirmed_at=confirmed.confirmed_at if confirmed else None,
            recovery_codes_left=await self._store.recovery_codes_left(user.id) if confirmed else 0,
            required=user.role in state.required_of,
        )

    async def begin(self, user: User, password: str, address: str, origin: Origin) -> NewFactor:
        """A new factor, to be confirmed; one that wasn't is replaced.

        Raises:
            BadCredentialsError, TooManyAttemptsError: for the password.
            SecondFactorSetError: there is a confirmed one.
        """
        await self._check_password(user, password, address, origin)
        secret = new_secret()
        sealed = self._sealing.seal(secret, user.id)
        if not await self._store.begin_factor(user.id, sealed, self._clock()):
            raise SecondFactorSetError("remove the second factor before setting up another")
        return NewFactor(secret_text(secret), otpauth_uri(secret, user.email))

    async def confirm(self, user: User, code: str, session: str, origin: Origin) -> list[str]:
        """Recovery codes, for a code that shows that the authenticator has the secret.

        All sessions end but the one that confirms: they were begun without the factor, and one
        of somebody who knows just the password must not become more by its next refresh.

        Raises:
            NoSecondFactorError: none was begun.
            SecondFactorSetError: it is confirmed already.
            WrongCodeError, TooManyAttemptsError
        """
        state = await self._store.factor_state(user.id)
        if state.confirmed is not None:
            raise SecondFactorSetError("the second factor is confirmed already")
        factor = state.factor
        if factor is None:
            raise NoSecondFactorError("no second factor was begun")
        codes = new_recovery_codes()
        entry = self._audit.entry(Action.SECOND_FACTOR_SET, origin, user.id)

        async def confirms() -> int | None:
            now = self._clock()
            step = matching_step(self._secret(user.id, factor), code, now)
            digests = [recovery_digest(code) for code in codes]
            if step is not None and await self._store.confirm_factor(
                user.id, factor.sealed, step, digests, session, now, entry
            ):
                return step
            return None

        if await self._attempts.guess(user.id, confirms) is None:
            await self._audit.refused(Action.SECOND_FACTOR_SET, origin, user.id)
            raise WrongCodeError("the code is wrong, or of another moment")
        self._mails.send(user.email, factor_set_letter())
        return codes

    async def renew_codes(self, user: User, code: str, origin: Origin) -> list[str]:
        """New recovery codes in the place of all that there are.

        Raises:
            NoSecondFactorError, WrongCodeError, TooManyAttemptsError
        """
        factor = await self._use_own(user, code, Action.RECOVERY_CODES_MADE, origin)
        codes = new_recovery_codes()
        digests = [recovery_digest(code) for code in codes]
        entry = self._audit.entry(Action.RECOVERY_CODES_MADE, origin, user.id)
        if not await self._store.replace_recovery_codes(user.id, factor.sealed, digests, entry):
            raise NoSecondFactorError("the second factor was removed in between")
        self._mails.send(user.email, codes_made_letter())
        return codes

    async def remove(
        self, user: User, password: str, code: str, address: str, origin: Origin
    ) -> None:
        """Removes the caller's own factor.

        Raises:
            BadCredentialsError: for the password.
            NoSecondFactorError, WrongCodeError, TooManyAttemptsError
        """
        await self._check_password(user, password, address, origin)
        await self._use_own(user, code, Action.SECOND_FACTOR_REMOVED, origin)
        await self._remove_and_tell(user, origin)

    async def remove_of(self, actor: User, user_id: str, origin: Origin) -> None:
        """Removes another's factor: its device is lost, and its recovery codes are.

        Raises:
            UnknownUserError: there is no such account.
            NotAllowedError: it is the actor's own, for which it takes a password and a code.
        """
        if actor.id == user_id:
            raise NotAllowedError("one's own second factor is removed with a password and a code")
        user = await self._store.user(user_id)
        if user is None:
            raise UnknownUserError("no such user")
        await self._remove_and_tell(user, origin)

    async def remove_at(self, email: str) -> None:
        """Removes the factor of the account with an address, for whoever runs the service.

        The owner, who asked for it, isn't told by mail: a command sends none.

        Raises:
            UnknownUserError: there is no such account.
        """
        credentials = await self._store.credentials(email_key(email))
        if credentials is None:
            raise UnknownUserError("no account has this e-mail address")
        await self._remove(credentials.user.id, SYSTEM)

    async def required_of(self) -> frozenset[Role]:
        """The roles that must have a second factor."""
        return await self._store.factor_roles()

    async def require_of(self, roles: frozenset[Role], origin: Origin) -> None:
        """Requires a factor of these roles and no others, from each one's next tokens on."""
        entry = self._audit.entry(
            Action.SECOND_FACTOR_POLICY, origin, details=" ".join(sorted(roles))
        )
        await self._store.save_factor_roles(roles, self._clock(), entry)

    async def _remove_and_tell(self, user: User, origin: Origin) -> None:
        if await self._remove(user.id, origin):
            self._mails.send(user.email, factor_removed_letter())

    async def _remove(self, user_id: str, origin: Origin) -> bool:
        entry = self._audit.entry(Action.SECOND_FACTOR_REMOVED, origin, user_id)
        return await self._store.remove_factor(user_id, entry)

    async def _check_password(
        self, user: User, password: str, address: str, origin: Origin
    ) -> None:
        """Limited as at login: a stolen access token must not be a way to guess passwords."""
        key = email_key(user.email)
        digest = email_digest(key)
        await self._attempts.check(address, digest)
        credentials = await self._store.credentials(key)
        password_hash = credentials.password_hash if credentials else None
        if not await self._passwords.verify(password_hash, password):
            entry = self._audit.entry(
                Action.SIGN_IN,
                origin,
                user.id,
                outcome=Outcome.REFUSED,
                details="second_factor",
            )
            await self._attempts.failed(address, digest, entry)
            raise BadCredentialsError("the password is wrong")
        await self._attempts.check(address, digest)

    async def _use_own(self, user: User, code: str, action: Action, origin: Origin) -> SecondFactor:
        """The caller's factor, whose code is used up for an action; a wrong one is recorded."""
        state = await self._store.factor_state(user.id)
        if state.confirmed is None:
            raise NoSecondFactorError("the account has no second factor")
        if await self._uses(user.id, state.confirmed, code) is None:
            await self._audit.refused(action, origin, user.id)
            raise WrongCodeError("the code is wrong, of another moment, or was used before")
        return state.confirmed

    async def _uses(self, user_id: str, factor: SecondFactor, code: str) -> Used | None:
        """What a code is, that nobody used before: the factor's, or a recovery code."""

        async def use() -> Used | None:
            step = matching_step(self._secret(user_id, factor), code, self._clock())
            if step is not None:
                used = await self._store.use_step(user_id, factor.sealed, step)
                return "second_factor" if used else None
            used = await self._store.use_recovery_code(user_id, recovery_digest(code))
            return "recovery_code" if used else None

        return await self._attempts.guess(user_id, use)

    def _secret(self, user_id: str, factor: SecondFactor) -> bytes:
        return self._sealing.open(factor.sealed, user_id)
