"""Closing one's own account."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from users_service.domain.audit import Action, Origin
from users_service.domain.erasures import closed
from users_service.domain.users import Role
from users_service.errors import InvalidAccountError, VersionMismatchError
from users_service.service.accounts import Leases, Versions
from users_service.service.audit import Audit
from users_service.store import ClosingStore, UserStore


class _Store(UserStore, ClosingStore, Protocol):
    """What closing needs of the database."""


class Closing:
    """The use case of closing an account.

    Attributes:
        erasures_due: set whenever there is something to erase at the other services.
    """

    def __init__(
        self, store: _Store, clock: Callable[[], datetime], leases: Leases, audit: Audit
    ) -> None:
        self._audit = audit
        self._store = store
        self._clock = clock
        self._leases = leases
        self.erasures_due = asyncio.Event()

    async def close(self, user_id: str, versions: Versions, origin: Origin) -> None:
        """Closes an account for good: nothing that is personal stays of it here.

        What the other services keep is erased afterwards, however long that takes.

        Args:
            versions: of which it must be one; None for any.

        Raises:
            InvalidAccountError: it is disabled or closed already.
            VersionMismatchError: it isn't one of `versions`.
            LastAdminError: no active admin would be left.
        """
        while True:
            before = await self._store.user(user_id)
            if before is None or not before.is_active:
                raise InvalidAccountError("the account is disabled or closed")
            if versions is not None and before.version not in versions:
                raise VersionMismatchError(f"the version is {before.version}")
            entry = self._audit.entry(Action.ACCOUNT_CLOSED, origin, user_id)
            if await self._store.close_user(before, closed(before, self._clock()), entry):
                break
            # Somebody else changed it in between: look again.
        self.erasures_due.set()
        if before.role is Role.DOCTOR:
            await self._leases.lapse()
