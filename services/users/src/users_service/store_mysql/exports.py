"""What is stored of a person, read for an export."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from users_service.domain.exports import SecondFactor, Session
from users_service.store_mysql.database import Part
from users_service.store_mysql.tables import refresh_families, second_factors

_f, _s = refresh_families.c, second_factors.c


class Exports(Part):
    """Implements ExportStore, together with Users."""

    async def stored_sessions(self, user_id: str) -> Sequence[Session]:
        """All sign-ins, as far as they are kept, oldest first."""
        columns = (_f.id, _f.created_at, _f.last_used_at, _f.ended_at, _f.client)
        rows: Sequence[Sequence[Any]] = await self._database.fetch(
            select(*columns).where(_f.user_id == user_id).order_by(_f.id)
        )
        return [Session(*row) for row in rows]

    async def stored_second_factor(self, user_id: str) -> SecondFactor | None:
        """The second factor, confirmed or not."""
        rows: Sequence[Sequence[Any]] = await self._database.fetch(
            select(_s.created_at, _s.confirmed_at).where(_s.user_id == user_id)
        )
        return SecondFactor(*rows[0]) if rows else None
