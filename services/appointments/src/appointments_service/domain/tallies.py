"""What a doctor's day counts for in analytics, kept exact in the transaction of each change.

A tally is a bag of named sums of one doctor on one date of the clinic's zone. What one appointment
adds to it is a pure function of the appointment, so a change of an appointment is the difference
of two contributions, and a recount is the sum of all of them.

Names: `n_<status>` appointments in that state · `booked_minutes` of those that keep their time ·
`lead_minutes` between booking and start, summed over all · `h<hour>` and `h<hour>_no_show` by hour
of the start · `l<band>` and `l<band>_no_show` by days of lead time.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import Appointment, Status


@dataclass(frozen=True, slots=True)
class TallyKey:
    """Whose day: a doctor and a date in the clinic's zone."""

    doctor_id: str
    day: date


def contribution(appointment: Appointment, clinic: ZoneInfo) -> tuple[TallyKey, dict[str, int]]:
    """What one appointment adds to which tally."""
    start = appointment.starts_at.astimezone(clinic)
    made = appointment.created_at.astimezone(clinic).date()
    hour = f"h{start.hour:02}"
    band = f"l{band_of((start.date() - made).days)}"
    lead = appointment.starts_at - appointment.created_at
    sums = {
        f"n_{appointment.status}": 1,
        hour: 1,
        band: 1,
        "lead_minutes": int(lead.total_seconds() // 60),
    }
    if appointment.status.keeps_time:
        length = appointment.ends_at - appointment.starts_at
        sums["booked_minutes"] = int(length.total_seconds() // 60)
    if appointment.status is Status.NO_SHOW:
        sums[f"{hour}_no_show"] = 1
        sums[f"{band}_no_show"] = 1
    return TallyKey(appointment.doctor_id, start.date()), sums


def band_of(days: int) -> int:
    """The band that a lead time in days falls into: 0 same day, 1 to 7, 2 to 30, 3 beyond."""
    return 0 if days <= 0 else 1 if days <= 7 else 2 if days <= 30 else 3


def difference(
    before: Appointment | None, after: Appointment, clinic: ZoneInfo
) -> Mapping[TallyKey, Mapping[str, int]]:
    """What a change adds to the tallies (or, below zero, takes); sums that stay are left out."""
    deltas: dict[TallyKey, Counter[str]] = {}
    key, sums = contribution(after, clinic)
    deltas[key] = Counter(sums)
    if before is not None:
        key, sums = contribution(before, clinic)
        deltas.setdefault(key, Counter()).subtract(sums)
    return {
        key: {name: delta for name, delta in counts.items() if delta}
        for key, counts in deltas.items()
    }


def total(
    differences: Iterable[Mapping[TallyKey, Mapping[str, int]]],
) -> Mapping[TallyKey, Mapping[str, int]]:
    """Several changes' differences as one."""
    sums: dict[TallyKey, Counter[str]] = {}
    for difference_ in differences:
        for key, counts in difference_.items():
            sums.setdefault(key, Counter()).update(counts)
    return {
        key: {name: delta for name, delta in counts.items() if delta}
        for key, counts in sums.items()
    }
