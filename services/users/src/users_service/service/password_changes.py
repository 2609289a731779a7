"""Other passwords: changed by who knows the present one, or set by who has the mailed token."""

from collections.abc import Callable
from datetime import datetime

from users_service.domain.audit import Action, Entry, Origin, Outcome
from users_service.domain.mails import RESET_LIFETIME, Kind, changed_letter, new_token, reset_letter
from users_service.domain.passwords import check_password
from users_service.domain.sessions import token_digest
from users_service.domain.users import User, email_key
from users_service.errors import InvalidResetTokenError
from users_service.service.audit import Audit
from users_service.service.mails import Mails
from users_service.service.passwords import PasswordHasher
from users_service.service.sessions import Sessions
from users_service.store import Store


class PasswordChanges:
    """The use cases about other passwords. Each change ends every session of the account."""

    def __init__(
        self,
        store: Store,
        passwords: PasswordHasher,
        sessions: Sessions,
        mails: Mails,
        clock: Callable[[], datetime],
        audit: Audit,
    ) -> None:
        self._audit = audit
        self._store = store
        self._passwords = passwords
        self._sessions = sessions
        self._mails = mails
        self._clock = clock

    async def change(self, user: User, current: str, new: str, client: str, origin: Origin) -> None:
        """Replaces the user's own password, asked for at an address.

        A wrong present password counts as a failed login: a stolen token is no way to try more.

        Raises:
            WeakPasswordError, BadCredentialsError, TooManyAttemptsError
        """
        check_password(new, email=user.email, full_name=user.full_name)
        replaced = False
        while not replaced:
            proven = await self._sessions.prove(user.email, current, client, origin)
            after = await self._passwords.hash(new)
            # Not if the hash is another by now: then the present one may not be present any more.
            replaced = await self._store.replace_password(
                user.id,
                proven.password_hash,
                after,
                self._clock(),
                self._audit.entry(Action.PASSWORD_CHANGED, origin, user.id),
            )
        self._mails.send(user.email, changed_letter())

    async def request_reset(self, email: str, client: str, origin: Origin) -> None:
        """Mails a token if there is such an account; the same work if there is none.

        A newer token leaves older ones as they are, for mails overtake each other, and nobody
        should void another's by asking; there are at most three an hour. All end with the first
        that is used.
        """
        if not await self._mails.may_ask(Kind.RESET, email, client):
            return
        key, token = email_key(email), new_token()
        found = await self._store.credentials(key)
        asked = self._asked(found.user if found is not None else None, origin)
        stored = await self._store.add_reset(
            key, token_digest(token), self._clock() + RESET_LIFETIME, asked
        )
        letter = reset_letter(self._mails.base, token)
        if found is not None and stored:
            # To the account's own address: the one typed may only look the same.
            self._mails.send(found.user.email, letter)

    def _asked(self, user: User | None, origin: Origin) -> Entry:
        """As of a failed login: whose address was typed, if anybody's, is told to admins only."""
        outcome = Outcome.DONE if user is not None and user.is_active else Outcome.REFUSED
        subject_id = user.id if user is not None else None
        return self._audit.entry(Action.PASSWORD_RESET_ASKED, origin, subject_id, outcome=outcome)

    async def reset(self, token: str, new: str, origin: Origin) -> None:
        """Sets a new password by a mailed token, which is spent by that.

        Raises:
            InvalidResetTokenError
            WeakPasswordError: and the token stays good.
        """
        digest = token_digest(token)
        user = await self._store.reset_for(digest, self._clock())
        if user is None:
            raise InvalidResetTokenError("ask for another")
        check_password(new, email=user.email, full_name=user.full_name)
        after = await self._passwords.hash(new)
        entry = self._audit.entry(Action.PASSWORD_CHANGED, origin, user.id, details="mailed_token")
        if not await self._store.use_reset(digest, user.id, after, self._clock(), entry):
            raise InvalidResetTokenError("ask for another")
        self._mails.send(user.email, changed_letter())
