"""Registering by an e-mail address that is shown to be one's own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from servicekit.ids import new_id
from users_service.domain.audit import Action, Origin
from users_service.domain.mails import (
    REGISTRATION_LIFETIME,
    Kind,
    new_token,
    registered_letter,
    registration_letter,
)
from users_service.domain.sessions import token_digest
from users_service.domain.users import User, email_key
from users_service.errors import BadCredentialsError, InvalidRegistrationTokenError
from users_service.service.accounts import NewAccount, check_new_account, made_account
from users_service.service.audit import Audit
from users_service.service.mails import Mails
from users_service.service.passwords import PasswordHasher
from users_service.store import Registration, Store


@dataclass(frozen=True, slots=True)
class Registrations:
    """The use cases about registrations that wait to be confirmed.

    Attributes:
        required: whether registering takes a confirmation at all.
    """

    store: Store
    passwords: PasswordHasher
    mails: Mails
    clock: Callable[[], datetime]
    audit: Audit
    required: bool

    async def register(self, new: NewAccount, client: str) -> None:
        """Stores what was said and mails a token; asked for at an address.

        Who has an account already is told so, by mail and by nothing else: the answer, the work
        and what is stored are the same. The token of that row is never sent to anybody.

        Raises:
            WeakPasswordError, InvalidFieldError
        """
        now = self.clock()
        check_new_account(new, now)
        if not await self.mails.may_ask(Kind.REGISTRATION, new.email, client):
            return
        password_hash = await self.passwords.hash(new.password)
        token = new_token()
        found = await self.store.credentials(email_key(new.email))
        account = made_account(new, now)
        registration = Registration(account, password_hash)
        await self.store.add_registration(
            token_digest(token), registration, now + REGISTRATION_LIFETIME
        )
        base = self.mails.base
        if found is None:
            self.mails.send(new.email, registration_letter(base, token))
        else:
            self.mails.send(found.user.email, registered_letter(base))

    async def confirm(self, token: str, password: str, origin: Origin) -> User:
        """The account that a mailed token stands for; the token is spent by that.

        The token shows whose the address is, the password that it was they who registered: else
        somebody could register another's address, and have the account once its owner confirms.

        Raises:
            InvalidRegistrationTokenError
            BadCredentialsError: it isn't the password that was registered; the token stays good.
            EmailTakenError: the address has got an account in the meantime.
        """
        now, digest = self.clock(), token_digest(token)
        registered = await self.store.registered_hash(digest, now)
        if registered is None:
            raise InvalidRegistrationTokenError("register again")
        if not await self.passwords.verify(registered, password):
            raise BadCredentialsError("it is not the password that was registered")
        user_id = new_id(now)
        made = self.audit.entry(
            Action.ACCOUNT_MADE, origin, user_id, details="role=patient mailed_token"
        )
        user = await self.store.use_registration(digest, user_id, now, made)
        if user is None:
            raise InvalidRegistrationTokenError("register again")
        return user
