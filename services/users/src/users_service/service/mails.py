"""Sending the mails about accounts, no more of them than anybody needs."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from servicekit.mail import Mail
from users_service.domain.mails import MAILS_WINDOW, Kind, Letter, limits
from users_service.domain.sessions import Failure, email_digest
from users_service.domain.users import email_key
from users_service.store import SessionStore


class Post(Protocol):
    """Where a mail is left to be sent: `servicekit.mail.Outbox`."""

    def post(self, mail: Mail) -> None:
        """Takes a mail; never waits and never fails."""


class Mails:
    """The mails about accounts.

    Args:
        base: what links in mails begin with, without a slash at its end.
    """

    def __init__(
        self, store: SessionStore, post: Post, *, base: str, clock: Callable[[], datetime]
    ) -> None:
        self.base = base
        self._store = store
        self._post = post
        self._clock = clock

    def send(self, to: str, letter: Letter) -> None:
        """Has a letter sent, some time later."""
        self._post.post(Mail(letter.kind, to, letter.subject, letter.text))

    async def may_ask(self, kind: Kind, email: str, client: str) -> bool:
        """Counts that a mail is asked for; whether it may be.

        Known and unknown e-mail addresses are counted alike, so that neither the answer nor the
        work tells them apart. What is over the limit isn't stored, or a flood would be. The rows
        are those of failed logins, under keys that no login has.
        """
        key = email_key(email)
        counted = limits(kind, client, key)
        failure = Failure(email_digest(key), self._clock())
        since = failure.at - MAILS_WINDOW
        for limit in counted:
            if len(await self._store.failures(limit.key, since, limit.most)) >= limit.most:
                return False
        for limit in counted:
            await self._store.add_failure(limit.key, failure, None)
        # Again after its own was stored: of many at once no more than the limit get through.
        for limit in counted:
            if len(await self._store.failures(limit.key, since, limit.most + 1)) > limit.most:
                return False
        return True
