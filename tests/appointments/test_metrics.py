"""What is counted of appointments, and of what they cost the store."""

from prometheus_client.parser import text_string_to_metric_families

from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.faults import WRITE, FaultyClient, conflict, throttled

MOVED = "2026-03-03T10:00:00Z"


async def counts(suite: Suite, name: str) -> dict[str, float]:
    """The samples of a metric that aren't 0, by their labels' values in the order of names."""
    text = await (await suite.client.get("/metrics")).text()
    return {
        " ".join(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.value
    }


async def act(suite: Suite, appointment: str, action: str, body: object = None) -> None:
    answer = await suite.client.post(
        f"/v1/appointments/{appointment}/{action}", json=body or {}, headers=suite.doctor()
    )
    assert answer.status == 200, await answer.text()


async def test_each_change_counts_once(suite: Suite) -> None:
    await suite.set_hours()
    first = await suite.booked(headers={"Idempotency-Key": "k"})
    again = await suite.book(headers={"Idempotency-Key": "k"})
    assert again.headers["Idempotency-Replayed"] == "true"
    await act(suite, first["id"], "reschedule", {"starts_at": MOVED})
    await act(suite, first["id"], "check-in")
    await act(suite, first["id"], "complete")
    second = await suite.booked()
    await act(suite, second["id"], "cancel")
    await suite.booked()
    assert await counts(suite, "appointment_changes_total") == {
        "booked": 3,
        "moved": 1,
        "checked_in": 1,
        "completed": 1,
        "cancelled": 1,
    }


async def test_refusals_are_counted_by_their_code(suite: Suite) -> None:
    await suite.set_hours()
    await suite.booked()
    await suite.book(patient="eve")
    await suite.book(patient="eve")
    await suite.book("2026-03-03T09:01:00Z")
    assert await counts(suite, "problems_total") == {
        "slot_taken POST /v1/appointments": 2,
        "misaligned POST /v1/appointments": 1,
    }
    assert (await counts(suite, "appointment_changes_total")) == {"booked": 1}


async def test_what_a_booking_asks_of_the_store_and_asks_again(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite: Suite = await make_suite(faulty)
    await suite.set_hours()
    faulty.fail(WRITE, before=conflict(WRITE, 5))
    faulty.fail(WRITE, before=throttled(WRITE))
    await suite.booked()
    calls = await counts(suite, "store_calls_total")
    # The third booked; one more set the hours.
    assert calls["TransactWriteItems ok dynamodb"] == 2
    assert calls["TransactWriteItems conflict dynamodb"] == 1
    assert calls["TransactWriteItems throttled dynamodb"] == 1
    retries = await counts(suite, "store_retries_total")
    assert retries == {"conflict dynamodb": 1, "throttled dynamodb": 1}
    assert await counts(suite, "store_calls_in_flight") == {}


async def test_questions_to_users_are_counted(suite: Suite) -> None:
    await suite.set_hours()
    await suite.booked()
    await suite.book(doctor="nobody")
    asked = await counts(suite, "peer_calls_total")
    assert asked["GET /v1/doctors/{id} users refused"] == 1
    assert asked["GET /v1/doctors/{id} users ok"] >= 1
