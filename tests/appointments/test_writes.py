"""The store's write: appointments and what goes along with them, entirely or not at all."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from appointments_service.domain.appointments import Actor, Appointment, Party, booked
from appointments_service.domain.availability import Slot
from appointments_service.domain.buckets import Claims, claims_of
from appointments_service.domain.tallies import difference
from appointments_service.errors import SlotTakenError
from appointments_service.store import (
    AppointmentChangedError,
    Changed,
    Extra,
    ExtraRefusedError,
    Holder,
    Write,
)
from appointments_service.store_dynamodb import DynamoDBStore, items
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.transactions import day_changes, extra_action
from tests.appointments.conftest import NOW, Suite
from tests.tools.audits import audited

NINE = int(datetime(2026, 3, 3, 9, 0, tzinfo=UTC).timestamp())
HOUR = 3600
CLAIMS = claims_of(NINE, NINE + HOUR)
[DAY] = CLAIMS


@dataclass(frozen=True)
class Hold:
    """Time that something holds which is no appointment."""

    doctor_id: str
    patient_id: str
    doctor_claims: Claims
    patient_claims: Claims
    override: bool = False


@dataclass(frozen=True)
class Note(Extra):
    """Something of the tests' own, which may be there once; it can hold time and give it back."""

    name: str
    held: Holder | None = None
    ends: bool = False

    @property
    def gives(self) -> Holder | None:
        return self.held if self.ends else None

    @property
    def takes(self) -> Holder | None:
        return None if self.ends else self.held


@extra_action.register
def _(extra: Note, table: str) -> Item:
    where = items.key("notes", extra.name)
    if extra.ends:
        condition = "attribute_exists(user_id)"
        return {"Delete": {"TableName": table, "Key": where, "ConditionExpression": condition}}
    condition = "attribute_not_exists(user_id)"
    return {"Put": {"TableName": table, "Item": where, "ConditionExpression": condition}}


def appointment(patient: str = "pat", start: int = NINE, key: str = "a") -> Appointment:
    claims = claims_of(start, start + HOUR)
    return booked(
        key * 26,
        Slot(start, start + HOUR, claims, claims),
        patient=Party(patient, "Pat"),
        doctor=Party("doc", "Doc"),
        timezone="UTC",
        reason=None,
        actor=Actor("boss", "admin"),
        now=NOW,
    )


def hold(patient: str) -> Hold:
    return Hold("doc", patient, CLAIMS, CLAIMS)


def write_of(*extras: Extra, made: Appointment | None = None) -> Write:
    changes = (Changed(None, made),) if made is not None else ()
    tallies = difference(None, made, ZoneInfo("UTC")) if made is not None else {}
    return Write("doc", changes, None, tallies, None, extras)


@pytest.fixture
def store(dynamodb: Any, table: str) -> DynamoDBStore:
    return DynamoDBStore(dynamodb, table)


async def everything(dynamodb: Any, table: str) -> list[Any]:
    found: list[Any] = (await dynamodb.scan(TableName=table, ConsistentRead=True))["Items"]
    return found


async def test_what_goes_along_is_there_with_the_change_or_neither_is(
    store: DynamoDBStore, dynamodb: Any, table: str
) -> None:
    made = appointment()
    await store.write(write_of(Note("one"), Note("two"), made=made))
    before = await everything(dynamodb, table)
    notes = {item["appointment_id"]["S"] for item in before if item["user_id"]["S"] == "notes"}
    assert notes == {"one", "two"}
    later = appointment("other", NINE + HOUR, "b")
    with pytest.raises(ExtraRefusedError) as refused:
        await store.write(write_of(Note("three"), Note("two"), made=later))
    assert refused.value.extra == Note("two")
    with pytest.raises(SlotTakenError):
        await store.write(write_of(Note("three"), made=appointment("other", NINE, "b")))
    # Who lost what it acts upon is told that, and not that the time is another's.
    with pytest.raises(ExtraRefusedError):
        await store.write(write_of(Note("two"), made=appointment("other", NINE, "b")))
    assert await everything(dynamodb, table) == before


async def test_time_passes_from_what_holds_it_to_an_appointment(store: DynamoDBStore) -> None:
    held = hold("pat")
    await store.write(write_of(Note("offer", held)))
    with pytest.raises(SlotTakenError):
        await store.write(write_of(made=appointment("other")))
    taken = write_of(Note("offer", held, ends=True), made=appointment())
    assert day_changes(taken) == []  # the calendars needn't even be written
    await store.write(taken)
    with pytest.raises(AppointmentChangedError):  # its own appointment is there
        await store.write(taken)
    view = await store.read_calendar("doc", list(CLAIMS), "pat", list(CLAIMS))
    assert (view.doctor_busy, view.patient_busy) == (CLAIMS, CLAIMS)


async def test_time_passes_from_one_patient_to_the_next(store: DynamoDBStore) -> None:
    first, second = hold("first"), hold("second")
    await store.write(write_of(Note("one", first)))
    await store.write(write_of(Note("one", first, ends=True), Note("two", second)))
    for patient, claimed in (("first", 0), ("second", CLAIMS[DAY])):
        view = await store.read_calendar("doc", [DAY], patient, [DAY])
        assert (view.doctor_busy, view.patient_busy) == (CLAIMS, {DAY: claimed})


def test_two_of_one_write_do_not_claim_one_time() -> None:
    both = (Changed(None, appointment()), Changed(None, appointment(key="b")))
    with pytest.raises(ValueError, match="claim the same time"):
        day_changes(Write("doc", both, None, {}, None))


@pytest.mark.parametrize("seed", range(3))
async def test_a_day_of_overrides_against_a_model_of_it(suite: Suite, seed: int) -> None:
    """Random bookings, overrides, moves and cancellations of one morning, each foretold."""
    chance = random.Random(seed)
    await suite.set_hours()
    suite.users.add_patient("ana", "Ana")
    opens = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
    held: dict[str, tuple[bool, range, str]] = {}

    def excluded(start: int, by: bool, but: str = "") -> bool:
        """Whether others hold what starts then; overrides only mind overrides."""
        wanted = set(range(start, start + 6))
        return any(
            wanted & set(buckets) and (over or not by)
            for id_, (over, buckets, _) in held.items()
            if id_ != but
        )

    async def post(path: str, patient: str, **body: Any) -> tuple[int, Any]:
        answer = await suite.client.post(
            f"/v1/appointments{path}", json=body, headers=suite.admin()
        )
        return answer.status, await answer.json()

    for number in range(60):
        deed = chance.choice(("book", "book", "override", "move", "cancel"))
        slot = chance.randrange(6) * 6
        start = chance.randrange(31) if deed == "override" else slot
        at = (opens + timedelta(minutes=5 * start)).isoformat()
        patient = f"p{number}"
        suite.users.add_patient(patient)
        if deed in ("book", "override"):
            over = deed == "override"
            body = {"doctor_id": "doc", "starts_at": at, "patient_id": patient, "reason": "why"}
            status, made = await post("", patient, **body, override=over)
            assert status == (409 if excluded(start, over) else 201), (number, deed, start, made)
            if status == 201:
                held[made["id"]] = (over, range(start, start + 6), patient)
        elif held:
            id_ = chance.choice(sorted(held))
            _, buckets, patient = held[id_]
            if deed == "cancel":
                assert (await post(f"/{id_}/cancel", patient))[0] == 200
                del held[id_]
            elif buckets.start != start:
                status, made = await post(f"/{id_}/reschedule", patient, starts_at=at)
                refused = excluded(start, False, id_)
                assert status == (409 if refused else 200), (number, deed, start, made)
                if status == 200:
                    held[id_] = (False, range(start, start + 6), patient)
    assert (await audited(suite)).breaches == []
