"""What must always hold, as pure checks over what the store holds.

1. No two appointments of one doctor that keep their time overlap, buffers as claimed, nor two of
   one patient; recorded overrides aside.
2. Every busy bucket belongs to exactly one appointment that keeps its time or one live offer of the
   waiting list, and each of those has all that it claimed; and who waits is in its doctor's queue,
   or an offer would never end.
3. Every tally equals a recount of the appointments.
4. Every answer to a change is there afterwards; of that, an appointment shows that its history
   tells of all its versions.

One set of rules, for the audit of an operator and for the one that the service keeps up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.buckets import BUCKETS_PER_DAY, Claims, claims_of, date_of
from appointments_service.domain.tallies import TallyKey, contribution
from appointments_service.domain.waitlist import Entry, OfferedTime, WaitStatus

OVERLAP, CALENDAR, TALLY, ANSWER = 1, 2, 3, 4

Taken = tuple[int, int]
"""What a calendar day says is taken, as bucket masks: regularly, and by overrides."""


class Breach(NamedTuple):
    """One thing that must never be: which invariant, where, and what is wrong there."""

    invariant: int
    where: str
    what: str


class Calendar(NamedTuple):
    """One UTC day (days since 1970-01-01) of a doctor's or a patient's calendar."""

    kind: Literal["doctor", "patient"]
    owner: str
    day: int

    def __str__(self) -> str:
        return f"{self.kind} {self.owner}, {date_of(self.day)} UTC"


class Place(NamedTuple):
    """One place in a doctor's queue, by its sort key; an empty one is the doctor's count."""

    doctor_id: str
    sort: str

    @classmethod
    def of_entry(cls, entry: Entry) -> Place:
        """Where a live entry has to be."""
        return cls(entry.doctor_id, f"{entry.key}#{entry.patient_id}")


Spot = Calendar | TallyKey | Place
"""What can be looked at by itself, and again."""


class Claim(NamedTuple):
    """What something holds of one calendar day: a mask of 5-minute buckets.

    Attributes:
        holder: who holds it, for people.
        override: whether it may lie over another's.
    """

    holder: str
    mask: int
    override: bool


def claims_on(appointment: Appointment) -> Iterator[tuple[Calendar, Claim]]:
    """What an appointment holds, calendar by calendar; nothing unless it keeps its time."""
    if appointment.status.keeps_time:
        yield from _claims(f"appointment {appointment.id}", appointment)


def offer_claims_on(entry: Entry) -> Iterator[tuple[Calendar, Claim]]:
    """What an entry of the waiting list holds, likewise; nothing unless it is offered a time.

    An overdue offer holds its time until it is lapsed, so what is said to be live counts.
    """
    if entry.held is not None:
        yield from _claims(f"offer to {entry.id}", entry.held)


def _claims(name: str, holder: Appointment | OfferedTime) -> Iterator[tuple[Calendar, Claim]]:
    for day, mask in holder.doctor_claims.items():
        yield Calendar("doctor", holder.doctor_id, day), Claim(name, mask, holder.override)
    for day, mask in holder.patient_claims.items():
        yield Calendar("patient", holder.patient_id, day), Claim(name, mask, holder.override)


@dataclass(slots=True)
class Ledger:
    """One calendar day: what is claimed of it, and what it says is taken. All are bucket masks.

    An override takes a free bucket in `busy` and a taken one in `over`, and gives back the same;
    so a bucket may be claimed once regularly and once by an override, and no more.
    """

    regular: int = 0
    override: int = 0
    twice: int = 0
    busy: int = 0
    over: int = 0

    def claim(self, claim: Claim) -> None:
        """Count a claim in."""
        if claim.override:
            self.twice |= self.override & claim.mask
            self.override |= claim.mask
        else:
            self.twice |= self.regular & claim.mask
            self.regular |= claim.mask

    def state(self, state: Taken) -> None:
        """Take down what the calendar's item holds."""
        self.busy, self.over = state

    @property
    def missing(self) -> int:
        """What is claimed, and not or not often enough taken."""
        both, one = self.regular & self.override, self.regular ^ self.override
        return both & ~(self.busy & self.over) | one & ~(self.busy | self.over)

    @property
    def unowned(self) -> int:
        """What is taken, or taken twice, with nobody who claims it."""
        one = self.regular ^ self.override
        nobody = (self.busy | self.over) & ~(self.regular | self.override)
        return nobody | self.over & ~self.override | one & self.busy & self.over

    @property
    def balances(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.twice or self.missing or self.unowned)


def calendar_breaches(calendar: Calendar, state: Taken, claims: Iterable[Claim]) -> list[Breach]:
    """What is wrong on one calendar day, given all that claim a part of it (1 and 2)."""
    ledger = Ledger()
    ledger.state(state)
    holders = sorted(claims)
    for claim in holders:
        ledger.claim(claim)
    where = str(calendar)
    breaches = []
    if ledger.twice:
        names = [claim.holder for claim in holders if claim.mask & ledger.twice]
        what = f"{hours_of(ledger.twice)} is held by {' and '.join(names)}"
        breaches.append(Breach(OVERLAP, where, what))
    for claim in holders:
        if claim.mask & ledger.missing:
            missing = hours_of(claim.mask & ledger.missing)
            what = f"{claim.holder} claims {missing}, which isn't taken"
            breaches.append(Breach(CALENDAR, where, what))
    if ledger.unowned:
        what = f"{hours_of(ledger.unowned)} is taken by nothing that keeps its time"
        breaches.append(Breach(CALENDAR, where, what))
    return breaches


def recount(appointments: Iterable[Appointment], clinic: ZoneInfo) -> dict[TallyKey, Counter[str]]:
    """The tallies as the appointments give them."""
    tallies: dict[TallyKey, Counter[str]] = {}
    for appointment in appointments:
        key, sums = contribution(appointment, clinic)
        tallies.setdefault(key, Counter()).update(sums)
    return tallies


def tally_breaches(
    key: TallyKey, stored: Mapping[str, int], counted: Mapping[str, int]
) -> list[Breach]:
    """Which sums of a tally are not as counted (3). A missing sum is zero."""
    wrong = [
        f"{name} is {stored.get(name, 0)}, counted {counted.get(name, 0)}"
        for name in sorted({*stored, *counted})
        if stored.get(name, 0) != counted.get(name, 0)
    ]
    where = f"tally of doctor {key.doctor_id}, {key.day}"
    return [Breach(TALLY, where, "; ".join(wrong))] if wrong else []


def appointment_breaches(appointment: Appointment) -> list[Breach]:
    """What is wrong with an appointment in itself (1 and 4).

    That claims cover the appointment's own time is what makes "no claims overlap" mean "no times
    overlap".
    """
    where = f"appointment {appointment.id}"
    breaches = []
    if appointment.status.keeps_time:
        own = claims_of(
            int(appointment.starts_at.timestamp()), int(appointment.ends_at.timestamp())
        )
        for kind, claims in (
            ("doctor", appointment.doctor_claims),
            ("patient", appointment.patient_claims),
        ):
            for day, mask in _without(own, claims).items():
                what = f"it claims nothing of its {kind} for {date_of(day)} {hours_of(mask)} UTC"
                breaches.append(Breach(OVERLAP, where, what))
    return breaches + [Breach(ANSWER, where, what) for what in _history_faults(appointment)]


def entry_breaches(entry: Entry) -> list[Breach]:
    """What is wrong with an entry of the waiting list in itself (1 and 2)."""
    where = f"waiting entry {entry.id}"
    if (entry.offer is not None) != (entry.status is WaitStatus.OFFERED):
        has = "an offer" if entry.offer is not None else "no offer"
        return [Breach(CALENDAR, where, f"it is {entry.status} and has {has}")]
    if entry.offer is None:
        return []
    start, end = entry.offer.starts_at.timestamp(), entry.offer.ends_at.timestamp()
    left = _without(claims_of(int(start), int(end)), entry.offer.doctor_claims)
    whats = [f"{date_of(day)} {hours_of(mask)} UTC" for day, mask in left.items()]
    return [Breach(OVERLAP, where, f"it claims nothing of its doctor for {what}") for what in whats]


def _without(claims: Claims, others: Claims) -> dict[int, int]:
    left = {day: mask & ~others.get(day, 0) for day, mask in claims.items()}
    return {day: mask for day, mask in left.items() if mask}


def _history_faults(appointment: Appointment) -> Iterator[str]:
    history = appointment.history
    if len(history) != appointment.version:
        yield f"version {appointment.version} with a history of {len(history)} lines"
    if not history:
        return
    if history[0].from_status is not None:
        yield f"its history begins from {history[0].from_status}"
    for earlier, later in pairwise(history):
        if later.from_status is not earlier.to_status:
            yield f"its history goes from {later.from_status} after {earlier.to_status}"
    last = history[-1]
    if last.to_status is not appointment.status:
        yield f"it is {appointment.status}, its history ends with {last.to_status}"
    if last.starts_at != appointment.starts_at:
        yield (
            f"it starts at {_instant(appointment.starts_at)}, "
            f"its history ends with {_instant(last.starts_at)}"
        )


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def hours_of(mask: int) -> str:
    """A mask as times of the day: `09:00–09:30, 14:00–14:05`."""
    runs, bucket = [], 0
    while mask >> bucket:
        if not mask >> bucket & 1:
            bucket += 1
            continue
        start = bucket
        while mask >> bucket & 1:
            bucket += 1
        runs.append(f"{_clock(start)}–{_clock(bucket)}")
    return ", ".join(runs)


def _clock(bucket: int) -> str:
    hour, minute = divmod(bucket * (24 * 60 // BUCKETS_PER_DAY), 60)
    return f"{hour:02}:{minute:02}"
