"""Signing in and staying signed in: login, refresh, logout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from servicekit.ids import new_id
from users_service.domain.audit import Action, Entry, Origin, Outcome
from users_service.domain.credentials import Credentials, Verified
from users_service.domain.sessions import (
    Presented,
    RefreshToken,
    Session,
    email_digest,
    refresh_token,
    token_digest,
)
from users_service.domain.users import User, email_key
from users_service.errors import (
    BadCredentialsError,
    InvalidRefreshTokenError,
    UnknownSessionError,
)
from users_service.service.attempts import Attempts
from users_service.service.audit import Audit
from users_service.service.passwords import PasswordHasher
from users_service.service.second_factors import SecondFactors
from users_service.service.tokens import AccessToken, TokenIssuer
from users_service.store import Store


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in gives."""

    access: AccessToken
    refresh: str


class Sessions:
    """The use cases about sessions.

    Args:
        refresh_key: derives refresh tokens; the same for all instances.
        lifetime: of a refresh token; each refresh begins another.
        longest: of a session, however often it is refreshed; from the sign-in on.
        reused: told that a spent token was presented again, which may be a thief.
    """

    def __init__(
        self,
        store: Store,
        passwords: PasswordHasher,
        tokens: TokenIssuer,
        attempts: Attempts,
        factors: SecondFactors,
        *,
        refresh_key: bytes,
        lifetime: timedelta,
        longest: timedelta,
        clock: Callable[[], datetime],
        audit: Audit,
        reused: Callable[[], None],
    ) -> None:
        self._audit = audit
        self._reused = reused
        self._store = store
        self._passwords = passwords
        self._tokens = tokens
        self._attempts = attempts
        self._factors = factors
        self._refresh_key = refresh_key
        self._lifetime = lifetime
        self._longest = longest
        self._clock = clock

    async def login(
        self,
        email: str,
        password: str,
        address: str,
        origin: Origin,
        *,
        otp: str | None = None,
        client: str | None = None,
    ) -> TokenPair:
        """Tokens for an account's e-mail and password, typed at an address.

        Only who knows the password learns whether there is a second factor. A wrong code of it is
        a failure like a wrong password.

        Args:
            otp: a code of the second factor, or a recovery code.
            client: what signs in, for the list of sessions.

        Raises:
            BadCredentialsError, SecondFactorRequiredError, TooManyAttemptsError
        """
        used, shown = None, ""
        while True:
            credentials = await self.prove(email, password, address, origin)
            state = await self._factors.state(credentials.user)
            factor = state.confirmed
            # A code is good once: the factor that has taken it isn't asked again.
            if factor is not None and factor.confirmed_at != used:
                by = await self._factors.admits(credentials.user, factor, otp)
                if by is None:
                    refused = self._refused(credentials, origin, details="second_factor")
                    await self._attempts.failed(address, email_digest(email_key(email)), refused)
                    raise BadCredentialsError(
                        "the code is wrong, of another moment, or was used before"
                    )
                used, shown = factor.confirmed_at, by
            renewed = await self._renewed(credentials, password)
            pair = await self._begin(Verified(renewed, state), origin, client, shown)
            if pair is not None:
                return pair
            # The account, its password, its factor or what is required of it is another by now:
            # all is verified again.

    async def prove(self, email: str, password: str, address: str, origin: Origin) -> Credentials:
        """The active account that an e-mail and a password, typed at an address, are those of.

        An unknown e-mail, a wrong password and a disabled account can't be told apart: not by
        the answer, not by the work, not by how failures are counted.

        Raises:
            BadCredentialsError, TooManyAttemptsError
        """
        key = email_key(email)
        digest = email_digest(key)
        await self._attempts.check(address, digest)
        credentials = await self._store.credentials(key)
        password_hash = credentials.password_hash if credentials else None
        verified = await self._passwords.verify(password_hash, password)
        if credentials is None or not verified or not credentials.user.is_active:
            await self._attempts.failed(address, digest, self._refused(credentials, origin))
            raise BadCredentialsError("the e-mail address or the password is wrong")
        # The right guess among many counts only if it came before the limit was reached.
        await self._attempts.check(address, digest)
        return credentials

    async def refresh(self, presented: str, origin: Origin) -> TokenPair:
        """New tokens for a refresh token, which is spent by that. Raises InvalidRefreshTokenError.

        Presented again within the grace, while its successor is unspent, it gives that same
        successor: the answer may have been lost on the way. Presented later it was stolen, from
        its owner or by its owner's successor, so all of its family ends.
        """
        digest = token_digest(presented)
        found = await self._usable(digest)
        if found.token.spent_at is None:
            now = self._clock()
            token = found.token
            text, successor = self._next(token.family_id, token.number + 1, now, found.began_at)
            if await self._store.spend(digest, successor, now):
                return TokenPair(await self._access(found.user, token.family_id), text)
            found = await self._usable(digest)  # another request was first
        return await self._again(found, origin)

    async def logout(self, presented: str, origin: Origin) -> None:
        """Ends the family of a refresh token, if there is one."""
        found = await self._store.presented(token_digest(presented))
        if found is not None:
            user = found.user
            entry = self._audit.entry(
                Action.SIGN_OUT, origin.acting_as(user.id, user.role.value), user.id
            )
            await self._store.end_family(found.token.family_id, self._clock(), entry)

    async def list(self, user_id: str, after: str, limit: int) -> Sequence[Session]:
        """A page of an account's sessions, in the order in which they began."""
        return await self._store.sessions(user_id, self._clock(), after, limit)

    async def end(self, user_id: str, session_id: str, origin: Origin) -> None:
        """Ends one of an account's sessions. Raises UnknownSessionError."""
        entry = self._audit.entry(Action.SESSION_ENDED, origin, user_id)
        if not await self._store.end_session(user_id, session_id, self._clock(), entry):
            raise UnknownSessionError("no such session")

    async def _renewed(self, credentials: Credentials, password: str) -> Credentials:
        """Hashes again a password whose hash was made with other parameters."""
        before = credentials.password_hash
        if not self._passwords.is_outdated(before):
            return credentials
        after = await self._passwords.hash(password)
        changed = await self._store.change_password_hash(credentials.user.id, before, after)
        return replace(credentials, password_hash=after) if changed else credentials

    def _refused(self, credentials: Credentials | None, origin: Origin, details: str = "") -> Entry:
        """For a failed login: whose address was typed, if anybody's, is told to admins only."""
        subject_id = credentials.user.id if credentials is not None else None
        return self._audit.entry(
            Action.SIGN_IN, origin, subject_id, outcome=Outcome.REFUSED, details=details
        )

    async def _begin(
        self, verified: Verified, origin: Origin, client: str | None, shown: str
    ) -> TokenPair | None:
        """A new session's tokens; None if what was verified is not so any more.

        Args:
            shown: what besides the password, for the audit log; "" for nothing.
        """
        now, user = self._clock(), verified.credentials.user
        text, first = self._next(new_id(now), 1, now, now)
        access = await self._tokens.for_user(user, first.family_id, enrolling=verified.enrolling)
        entry = self._audit.entry(
            Action.SIGN_IN, origin.acting_as(user.id, user.role.value), user.id, details=shown
        )
        begun = await self._store.begin_family(verified, first, now, client, entry)
        return TokenPair(access, text) if begun else None

    async def _access(self, user: User, family_id: str) -> AccessToken:
        enrolling = await self._factors.must_enrol(user)
        return await self._tokens.for_user(user, family_id, enrolling=enrolling)

    async def _usable(self, digest: str) -> Presented:
        found = await self._store.presented(digest)
        if found is None or not found.is_usable(self._clock(), self._longest):
            raise InvalidRefreshTokenError("sign in again")
        return found

    async def _again(self, found: Presented, origin: Origin) -> TokenPair:
        """The answer for a token that is spent already."""
        now = self._clock()
        family_id, number = found.token.family_id, found.token.number
        if found.in_grace(now):
            text = refresh_token(self._refresh_key, family_id, number + 1)
            successor = await self._store.presented(token_digest(text))
            if successor is not None and successor.token.spent_at is None:
                return TokenPair(await self._access(found.user, family_id), text)
        # Whoever presents it, the owner or a thief, is not known: an entry without an actor.
        entry = self._audit.entry(
            Action.REFRESH_REUSED, origin, found.user.id, outcome=Outcome.REFUSED
        )
        await self._store.end_family(family_id, now, entry)
        self._reused()
        raise InvalidRefreshTokenError("sign in again")

    def _next(
        self, family_id: str, number: int, now: datetime, began_at: datetime
    ) -> tuple[str, RefreshToken]:
        text = refresh_token(self._refresh_key, family_id, number)
        # Not beyond the session's end: who lists sessions sees only those that can go on.
        expires_at = min(now + self._lifetime, began_at + self._longest)
        return text, RefreshToken(token_digest(text), family_id, number, expires_at)
