"""The audit log: what is recorded, when, and what happens where it can't be.

A change and its entry are one transaction: where the entry can't be written, the change isn't
either. So are a sign-in and the session that it begins, a failed one and the failure that is
counted anyway, a service's token and the assertion that it spends. None of these takes a second
write that could fail by itself, so no right password is refused, and no wrong one is answered
otherwise, for the log's sake.

A read of another's data has no write of its own. Its entry is written before the answer is given,
and where that fails the answer is 503: data of patients that is shown without a trace can't be
called back, while whoever asks can ask again. People reading what is their own leave no entry.

What is refused before anything is looked at (no token, the wrong role, too many attempts, a bad
assertion) is in the request's log line only: whoever isn't signed in can't make the table grow by
more than the limits on failed logins allow.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from servicekit.ids import new_id
from users_service.domain.audit import Action, Entry, Origin, Outcome
from users_service.store import AuditFilter, AuditStore


class Audit:
    """The use cases about the audit log.

    Args:
        kept: for how long entries stay; None for good.
    """

    def __init__(
        self, store: AuditStore, clock: Callable[[], datetime], kept: timedelta | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._kept = kept

    def entry(
        self,
        action: Action,
        origin: Origin,
        subject_id: str | None = None,
        *,
        outcome: Outcome = Outcome.DONE,
        details: str = "",
    ) -> Entry:
        """An entry of now, for the transaction of what it tells of."""
        now = self._clock()
        return Entry(new_id(now), now, action, outcome, origin, subject_id, details)

    async def record(
        self, action: Action, origin: Origin, subject_id: str | None = None, details: str = ""
    ) -> None:
        """Stores an entry of its own. Raises StoreUnavailableError: then nothing may be shown."""
        await self._store.add_entry(self.entry(action, origin, subject_id, details=details))

    async def refused(self, action: Action, origin: Origin, subject_id: str) -> None:
        """Stores that a code for an action was wrong; no more of it than may be tried."""
        await self._store.add_entry(
            self.entry(action, origin, subject_id, outcome=Outcome.REFUSED, details="second_factor")
        )

    async def list(
        self, chosen: AuditFilter, before: str, limit: int, origin: Origin
    ) -> Sequence[Entry]:
        """Entries, newest first, of those before the one with the id `before` ("" for all).

        That they were read is an entry as well, which is not among them yet.
        """
        found = await self._store.entries(chosen, before, limit)
        await self.record(Action.AUDIT_LISTED, origin, chosen.subject_id)
        return found

    async def forget(self) -> int:
        """Deletes entries past their time; how many. Raises StoreUnavailableError."""
        if self._kept is None:
            return 0
        return await self._store.forget_entries(self._clock() - self._kept)
