"""One doctor, two patients, a dozen times: any sequence of requests, against a small model.

Over the real store on the emulator: it is the store's conditions that have to be right, and a fake
would only have its own. Each step is one use case; after each, what is open must be what the model
says, for either patient.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from appointments_service.app import open_dynamodb
from appointments_service.directory import Doctor, Patient
from appointments_service.domain.appointments import Actor, Appointment, Status
from appointments_service.domain.schedules import WEEKDAYS, Interval, Schedule
from appointments_service.errors import (
    AppointmentsError,
    NotBookableError,
    SameTimeError,
    TooEarlyError,
    WrongStatusError,
)
from appointments_service.service.answers import Answers, Idempotency
from appointments_service.service.bookings import Bookings
from appointments_service.service.changes import Changes
from appointments_service.service.hours import HoursCache
from appointments_service.service.parties import Parties
from appointments_service.service.schedules import Schedules
from appointments_service.settings import Settings
from appointments_service.store import AppointmentStore
from appointments_service.store_dynamodb import create_table
from servicekit.aws import open_client
from servicekit.ids import new_id
from servicekit.testing import FakeClock
from tools.stress.oracle import Rules, Span

TABLE = "machine"
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DAYS = (date(2026, 3, 2), date(2026, 3, 3))
STAFF = Actor("boss", "admin")
HOURS: tuple[Span, ...] = ((540, 690),)
STARTS = [
    int(datetime(2026, 3, day, 9, tzinfo=UTC).timestamp()) + minutes * 60
    for day in (2, 3)
    for minutes in (0, 10, 30, 60, 90, 120)
]
CODES = {WrongStatusError: "wrong_status", SameTimeError: "same_time", TooEarlyError: "too_early"}


class Everybody:
    """A directory in which everybody is."""

    async def doctor(self, doctor_id: str) -> Doctor | None:
        return Doctor(doctor_id, "Dr. Who", True)

    async def doctors_of(self, specialty: str) -> Sequence[Doctor]:
        return []

    async def patient(self, patient_id: str) -> Patient | None:
        return Patient(patient_id, "Pat")


@dataclass
class Service:
    """The use cases of one instance."""

    runner: asyncio.Runner
    store: AppointmentStore
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))

    def __post_init__(self) -> None:
        hours = HoursCache(self.store, self.clock)
        changes = Changes(self.store, self.clock, ZoneInfo("UTC"), lambda _: None)
        answers = Answers(self.store, self.clock)
        self.bookings = Bookings(changes, answers, Parties(Everybody()), hours, new_id)
        self.schedules = Schedules(self.store, Everybody(), hours, self.clock)

    def code_of(self, request: Any) -> tuple[str | None, Any]:
        """The code of a refusal, or what was done."""
        try:
            return None, self.runner.run(request)
        except NotBookableError as error:
            return error.code, None
        except AppointmentsError as error:
            return CODES[type(error)], None


@dataclass
class Made:
    """An appointment in the model."""

    id: str
    patient: str
    start: int
    length: int
    buffers: Span
    override: bool
    status: str = "booked"
    version: int = 1

    @property
    def span(self) -> Span:
        return self.start, self.start + self.length

    @property
    def claimed(self) -> Span:
        return self.span[0] - self.buffers[0], self.span[1] + self.buffers[1]


def meets(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def machine_of(service: Service) -> type[RuleBasedStateMachine]:
    """The machine over a service; each of its runs is another doctor's."""
    numbers = iter(range(10**6))
    patients, starts = st.integers(0, 1), st.sampled_from(STARTS)

    class Calendar(RuleBasedStateMachine):
        @initialize(before=st.sampled_from((0, 10)), after=st.sampled_from((0, 30)))
        def open(self, before: int, after: int) -> None:
            number = next(numbers)
            self.doctor = f"doc-{number}"
            self.patients = [f"pat-{number}-{n}" for n in (0, 1)]
            self.made: list[Made] = []
            self.keys: list[tuple[Idempotency[Appointment], dict[str, Any], str]] = []
            service.clock.now = NOW
            self.terms = Rules("UTC", dict.fromkeys(range(7), HOURS), 30, before, after, 30, 7)
            self.put_in_force()

        def put_in_force(self) -> None:
            rules = self.terms
            hours = tuple(Interval(*span) for span in HOURS)
            wanted = Schedule(
                self.doctor, "UTC", dict.fromkeys(WEEKDAYS, hours), rules.slot, rules.before,
                rules.after, rules.notice, rules.horizon_days, 0, NOW,
            )  # fmt: skip
            service.runner.run(service.schedules.set_schedule(STAFF, wanted, None))

        def others(self, but: Made | None = None) -> list[Made]:
            return [one for one in self.made if one.status != "cancelled" and one is not but]

        def refusal(self, patient: str, start: int, but: Made | None = None) -> str | None:
            others = self.others(but)
            return self.terms.refusal(
                start,
                service.clock.now,
                [one.claimed for one in others],
                [one.span for one in others if one.patient == patient],
            )

        def new(self, made: Any, patient: str, start: int, override: bool) -> None:
            buffers = self.terms.before * 60, self.terms.after * 60
            self.made.append(Made(made.id, patient, start, 1800, buffers, override))

        @rule(patient=patients, start=starts, keyed=st.booleans())
        def book(self, patient: int, start: int, keyed: bool) -> None:
            key = self.key() if keyed else None
            request = self.request(self.patients[patient], start, False)
            expected = self.refusal(self.patients[patient], start)
            code, done = service.code_of(service.bookings.book(**request, idempotency=key))
            assert code == expected
            if code is None:
                self.new(done.made[0], self.patients[patient], start, False)
                if key is not None:
                    self.keys.append((key, request, done.made[0].id))

        @precondition(lambda self: self.keys)
        @rule(which=st.integers(0, 99))
        def send_again(self, which: int) -> None:
            key, request, made = self.keys[which % len(self.keys)]
            code, done = service.code_of(service.bookings.book(**request, idempotency=key))
            assert code is None
            assert done.answered is not None
            assert done.answered.body == made.encode()

        @rule(patient=patients, start=starts)
        def override(self, patient: int, start: int) -> None:
            name, now = self.patients[patient], service.clock.now.timestamp()
            claimed = start - self.terms.before * 60, start + 1800 + self.terms.after * 60
            over = [one for one in self.others() if one.override]
            expected = None
            if start < now:
                expected = "too_soon"
            elif any(meets(claimed, one.claimed) for one in over):
                expected = "slot_taken"
            elif any(meets((start, start + 1800), one.span) for one in over if one.patient == name):
                expected = "patient_busy"
            request = self.request(name, start, True)
            code, done = service.code_of(service.bookings.book(**request, idempotency=None))
            assert code == expected
            if code is None:
                self.new(done.made[0], name, start, True)

        @precondition(lambda self: self.made)
        @rule(which=st.integers(0, 99), start=starts)
        def move(self, which: int, start: int) -> None:
            one = self.made[which % len(self.made)]
            moment = datetime.fromtimestamp(start, UTC)
            if one.status != "booked":
                expected: str | None = "wrong_status"
            elif start == one.start:
                expected = "same_time"
            else:
                expected = self.refusal(one.patient, start, but=one)
            code, done = service.code_of(service.bookings.move(STAFF, one.id, moment, None, None))
            assert code == expected
            if code is None:
                one.start, one.override, one.version = start, False, one.version + 1
                one.buffers = self.terms.before * 60, self.terms.after * 60
                assert done.made[0].version == one.version

        @precondition(lambda self: self.made)
        @rule(which=st.integers(0, 99), status=st.sampled_from([*Status][1:]))
        def change(self, which: int, status: Status) -> None:
            one = self.made[which % len(self.made)]
            source = {"completed": ("checked_in",), "cancelled": ("booked", "checked_in")}
            expected = None
            if one.status not in source.get(status.value, ("booked",)):
                expected = "wrong_status"
            elif status is Status.NO_SHOW and service.clock.now.timestamp() < one.start:
                expected = "too_early"
            code, changed = service.code_of(
                service.bookings.change_status(STAFF, one.id, status, None)
            )
            assert code == expected
            if code is None:
                one.status, one.version = status.value, one.version + 1
                assert changed.version == one.version

        @rule(before=st.sampled_from((0, 10)), after=st.sampled_from((0, 30)))
        def change_buffers(self, before: int, after: int) -> None:
            self.terms = replace(self.terms, before=before, after=after)
            self.put_in_force()

        @rule(day=st.sampled_from(DAYS), hours=st.sampled_from(((), ((540, 600),), ((570, 690),))))
        def set_date(self, day: date, hours: tuple[Span, ...]) -> None:
            intervals = tuple(Interval(*span) for span in hours)
            service.runner.run(
                service.schedules.set_override(STAFF, self.doctor, day, intervals, None)
            )
            self.terms = replace(self.terms, overrides={**self.terms.overrides, day: hours})

        @rule(minutes=st.sampled_from((5, 45, 300)))
        def wait(self, minutes: int) -> None:
            service.clock.advance(timedelta(minutes=minutes))

        @invariant()
        def offered_is_what_the_model_has_open(self) -> None:
            for patient in self.patients:
                _, days = service.runner.run(
                    service.schedules.open_days(self.doctor, *DAYS, patient)
                )
                offered = [slot.start for day in days for slot in day]
                slots = [start for day in DAYS for start in self.terms.starts(day)]
                assert offered == [one for one in slots if self.refusal(patient, one) is None]

        def request(self, patient: str, start: int, override: bool) -> dict[str, Any]:
            return {
                "actor": STAFF,
                "doctor_id": self.doctor,
                "patient_id": patient,
                "starts_at": datetime.fromtimestamp(start, UTC),
                "reason": "because",
                "override": override,
            }

        def key(self) -> Idempotency[Appointment]:
            name = f"{self.doctor}-{len(self.keys)}-{len(self.made)}"
            return Idempotency("boss", name, "hash", 201, lambda made: made[0].id.encode())

    return Calendar


@pytest.fixture
def service(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    async def open_table(client: Any) -> None:
        async with client as opened:
            await create_table(opened, TABLE)
            await opened.update_time_to_live(
                TableName=TABLE, TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl"}
            )

    with asyncio.Runner() as runner:
        runner.run(open_table(open_client("dynamodb", endpoint=ministack, region="us-east-1")))
        store = open_dynamodb(Settings(dynamodb_endpoint=ministack, table=TABLE))
        opened = runner.run(store.__aenter__())
        yield Service(runner, opened)
        runner.run(store.__aexit__(None, None, None))


def test_any_sequence_of_requests_is_answered_as_the_model_would(service: Service) -> None:
    run_state_machine_as_test(
        machine_of(service),
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
