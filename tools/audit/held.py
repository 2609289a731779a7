"""What a scan finds that is claimed and counted, where something is to be repaired."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.buckets import DAY_SECONDS
from appointments_service.domain.invariants import (
    ANSWER,
    CALENDAR,
    Breach,
    Calendar,
    Claim,
    claims_on,
    offer_claims_on,
)
from appointments_service.domain.tallies import TallyKey, contribution
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.audit_items import kind_of, read
from appointments_service.store_dynamodb.audit_table import Table
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.waitlist import entry_of


class Held:
    """What one scan finds about some calendar days and tallies.

    Attributes:
        sums: what a tally has to be.
        versions: the appointments that a tally counts, or that (as the doctor's offers) may have to
            do with a calendar day, each with its version, which changes whenever they do.
    """

    def __init__(
        self, calendars: Collection[Calendar], tallies: Collection[TallyKey], clinic: ZoneInfo
    ) -> None:
        self._clinic = clinic
        self.claims: dict[Calendar, set[Claim]] = {calendar: set() for calendar in calendars}
        self.sums: dict[TallyKey, Counter[str]] = {key: Counter() for key in tallies}
        self.versions: dict[TallyKey | Calendar, set[tuple[str, int]]] = defaultdict(set)
        self._unreadable: set[str] = set()
        self._unreadable_of_anybody = False

    async def scan(self, table: Table, segments: int) -> None:
        """Goes through the whole table, consistently. Raises StoreUnavailableError."""

        async def take(page: list[Item]) -> None:
            for item in page:
                self._take(item)

        await table.scan(segments, take)

    def is_whole(self, owner: str) -> bool:
        """Whether all that may hold time of a doctor or patient could be read."""
        return not self._unreadable_of_anybody and owner not in self._unreadable

    def _take(self, item: Item) -> None:
        kind = kind_of(item)
        if kind == "appointment":
            appointment = read(ANSWER, item, items.appointment_of)
            if isinstance(appointment, Breach):
                self._can_not_read(item, "doctor_id")
            else:
                self._count(appointment)
                self._claim(claims_on(appointment))
        elif kind == "entry":
            entry = read(CALENDAR, item, entry_of)
            if isinstance(entry, Breach):
                self._can_not_read(item, "doctor")
            else:
                self._claim(offer_claims_on(entry))
                for calendar in self.claims:
                    if (calendar.kind, calendar.owner) == ("doctor", entry.doctor_id):
                        self.versions[calendar].add((entry.id, entry.version))

    def _claim(self, claims: Iterable[tuple[Calendar, Claim]]) -> None:
        for calendar, claim in claims:
            if calendar in self.claims:
                self.claims[calendar].add(claim)

    def _count(self, appointment: Appointment) -> None:
        key, sums = contribution(appointment, self._clinic)
        if key in self.sums:
            self.sums[key].update(sums)
            self.versions[key].add((appointment.id, appointment.version))
        middle = int(appointment.starts_at.timestamp()) // DAY_SECONDS
        for day in (middle - 1, middle, middle + 1):
            for calendar in (
                Calendar("doctor", appointment.doctor_id, day),
                Calendar("patient", appointment.patient_id, day),
            ):
                if calendar in self.claims:
                    self.versions[calendar].add((appointment.id, appointment.version))

    def _can_not_read(self, item: Item, doctor: str) -> None:
        """Whose time it may hold is known if it says so; else it may be anybody's."""
        doctor_id = item.get(doctor, {}).get("S")
        if doctor_id is None:
            self._unreadable_of_anybody = True
        else:
            patient = item["user_id"]["S"].removeprefix(items.patient_partition(""))
            self._unreadable |= {doctor_id, patient}
