"""A store and a directory in memory, as far as looking for open slots asks them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from appointments_service.directory import Doctor
from appointments_service.domain.buckets import claims_of
from appointments_service.domain.schedules import WEEKDAYS, Interval, Override, Schedule
from appointments_service.store import CalendarView
from tests.appointments.conftest import NOW

TODAY = NOW.date()
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago")


@dataclass
class Clinic:
    """What a search reads, in memory."""

    schedules: dict[str, Schedule] = field(default_factory=dict)
    overrides: dict[tuple[str, date], Override] = field(default_factory=dict)
    busy: dict[str, dict[int, int]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    doctors: list[str] = field(default_factory=list)

    async def read_schedule(self, doctor_id: str) -> Schedule | None:
        return self.schedules.get(doctor_id)

    async def read_overrides(
        self, doctor_id: str, first: date | None, _last: date | None
    ) -> list[Override]:
        assert first is not None
        return [
            one
            for (owner, day), one in sorted(self.overrides.items())
            if owner == doctor_id and day >= first
        ]

    async def read_overrides_on(self, dates: Mapping[str, Sequence[date]]) -> list[Override]:
        wanted = {(doctor_id, day) for doctor_id, days in dates.items() for day in days}
        return [one for place, one in self.overrides.items() if place in wanted]

    async def read_calendar(
        self, doctor_id: str, days: Sequence[int], patient_id: str | None, more: Sequence[int]
    ) -> CalendarView:
        return (await self.read_calendars({doctor_id: days}, patient_id, more))[doctor_id]

    async def read_calendars(
        self, days: Mapping[str, Sequence[int]], patient_id: str | None, more: Sequence[int]
    ) -> dict[str, CalendarView]:
        def of(owner: str, chosen: Sequence[int]) -> dict[int, int]:
            return {day: mask for day, mask in self.busy.get(owner, {}).items() if day in chosen}

        mine = of(f"patient {patient_id}", more)
        return {
            one: CalendarView(self.schedules.get(one), of(one, days[one]), mine) for one in days
        }

    async def doctor(self, doctor_id: str) -> Doctor | None:
        return Doctor(doctor_id, doctor_id.upper(), doctor_id not in self.closed)

    async def doctors_of(self, _specialty: str) -> list[Doctor]:
        return [Doctor(one, one.upper(), one not in self.closed) for one in self.doctors]

    async def patient(self, patient_id: str) -> None:
        raise NotImplementedError(patient_id)

    def take(self, owner: str, start: datetime, minutes: int) -> None:
        calendar = self.busy.setdefault(owner, {})
        begin = int(start.timestamp())
        for day, mask in claims_of(begin, begin + minutes * 60).items():
            calendar[day] = calendar.get(day, 0) | mask


def random_hours(draw: random.Random) -> tuple[Interval, ...]:
    starts = sorted(draw.sample(range(0, 1440, 60), 4))
    return (Interval(starts[0], starts[1]), Interval(starts[2], starts[3]))


def random_clinic(draw: random.Random) -> Clinic:
    clinic = Clinic()
    for n in range(draw.randint(0, 6)):
        doctor = f"doc{n}"
        clinic.doctors.append(doctor)
        if draw.random() < 0.15:
            clinic.closed.add(doctor)
        if draw.random() < 0.15:
            continue
        change_hours(clinic, doctor, draw, 1)
        for _ in range(draw.randint(0, 12)):
            start = NOW + timedelta(minutes=5 * draw.randrange(288 * 8))
            clinic.take(doctor, start, draw.choice((30, 600)))
    for _ in range(draw.randint(0, 5)):
        clinic.take("patient pat", NOW + timedelta(hours=draw.randrange(200)), 90)
    return clinic


def change_hours(clinic: Clinic, doctor: str, draw: random.Random, version: int) -> None:
    days = draw.sample(WEEKDAYS, draw.randint(0, 7))
    clinic.schedules[doctor] = Schedule(
        doctor_id=doctor,
        timezone=draw.choice(ZONES),
        weekly={day: random_hours(draw) for day in days},
        slot_minutes=draw.choice((20, 60, 240)),
        buffer_before_minutes=draw.choice((0, 10)),
        buffer_after_minutes=draw.choice((0, 60)),
        min_notice_minutes=draw.choice((0, 90, 5000)),
        horizon_days=draw.choice((1, 5, 90)),
        version=version,
        valid_from=NOW,
    )
    for _ in range(draw.randint(0, 3)):
        day = TODAY + timedelta(days=draw.randint(-1, 9))
        hours = draw.choice(((), random_hours(draw)))
        clinic.overrides[doctor, day] = Override(doctor, day, hours, version)
