"""Where an override may be booked: a time that the hours and other appointments need not allow."""

from datetime import datetime, timedelta

from appointments_service.domain.availability import Hours, Slot
from appointments_service.domain.buckets import BUCKET_SECONDS

HORIZON = timedelta(days=730)
"""The furthest that any schedule takes bookings."""


def overriding_slot(hours: Hours, starts_at: datetime, now: datetime) -> Slot | str:
    """The time of the schedule's length that starts then, or the code of why it can't be booked.

    It may lie outside of the hours, the notice and the horizon, and needs not be one of the starts;
    but it lies in the future, and on whole 5 minutes, since time is claimed by these.
    """
    if starts_at < now:
        return "too_soon"
    if starts_at > now + HORIZON:
        return "too_far"
    start = int(starts_at.timestamp())
    if starts_at.microsecond or start % BUCKET_SECONDS:
        return "misaligned"
    return hours.slot_at(start)
