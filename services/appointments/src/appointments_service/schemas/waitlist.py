"""The waiting list on the wire."""

from typing import Annotated

from pydantic import Field, PlainSerializer

from appointments_service.domain import waitlist
from appointments_service.domain.waitlist import WaitStatus
from servicekit.paging import Page
from servicekit.wire import Date, Id, Instant, Wire


class NewWaitlist(Wire):
    """For whose time one waits, and on which dates of its schedule's zone, both included."""

    doctor_id: Id
    from_: Annotated[Date, Field(alias="from")]
    to: Date


class Offer(Wire):
    """A time that is held for one who waits, up to and without `expires_at`."""

    starts_at: Instant
    ends_at: Instant
    expires_at: Instant


class Waitlist(Wire):
    """One patient's wait for a time of one doctor; `offer` is there just while it is offered."""

    id: str
    doctor_id: str
    patient_id: str
    from_: Annotated[Date, Field(alias="from")]
    to: Date
    status: Annotated[WaitStatus, PlainSerializer(str, return_type=str)]
    offer: Offer | None
    version: int
    created_at: Instant

    @classmethod
    def of(cls, entry: waitlist.Entry) -> "Waitlist":
        """From the domain."""
        offer = entry.offer
        return cls.model_construct(
            id=entry.id,
            doctor_id=entry.doctor_id,
            patient_id=entry.patient_id,
            from_=entry.first,
            to=entry.last,
            status=entry.status,
            offer=Offer.model_construct(
                starts_at=offer.starts_at, ends_at=offer.ends_at, expires_at=offer.expires_at
            )
            if offer is not None
            else None,
            version=entry.version,
            created_at=entry.created_at,
        )


class Waitlists(Page[Waitlist]):
    """Entries of the waiting list, oldest first."""
