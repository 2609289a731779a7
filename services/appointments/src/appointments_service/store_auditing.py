"""The port to whatever an audit reads, and by which one instance at a time carries it out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from appointments_service.domain.invariants import Breach, Spot


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A part of everything that is stored, looked through once.

    Attributes:
        breaches: what single things were found wrong for.
        spots: what is to be looked at together with what belongs to it.
        position: where to go on; None at the end.
    """

    breaches: tuple[Breach, ...]
    spots: tuple[Spot, ...]
    position: Any | None


class AuditStore(Protocol):
    """What an audit needs. Every method may raise StoreUnavailableError."""

    async def take_lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Takes or renews a lease; False if another has it, or the next is not due yet."""

    async def leave_lease(self, name: str, holder: str, until: datetime) -> None:
        """Gives a lease back that nobody shall take before `until`; nothing if it was lost."""

    async def read_audit_page(
        self, position: Any | None, limit: int, clinic: ZoneInfo
    ) -> AuditPage:
        """So many things of all that is stored, consistently."""

    async def look(self, spot: Spot, clinic: ZoneInfo) -> list[Breach]:
        """What is wrong at a spot as it is now: a suspicion, for others may be at work there."""
