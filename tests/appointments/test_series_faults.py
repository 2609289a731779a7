"""Series on a bad day of the store, and when the hours change under them."""

from botocore.exceptions import ReadTimeoutError

from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.faults import WRITE, FaultyClient
from tests.appointments.test_faults import CONFLICT, FINE, REFUSED, cancelled
from tests.appointments.test_metrics import counts
from tests.appointments.test_series import ask, cancel, conflicts, made, starts, statuses
from tests.tools.audits import audited

# Of a series of two: the doctor's days, the patient's, the appointments, the tallies, the schedule.
TAKEN = (FINE, REFUSED, *[FINE] * 7)
MET = (CONFLICT, *[FINE] * 8)


async def test_a_reason_that_has_vanished_is_no_reason(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    await suite.slots("2026-03-03", "2026-03-03")
    faulty.fail(WRITE, before=cancelled(*TAKEN))
    faulty.calls.clear()
    assert len(await made(suite, count=2)) == 2
    assert faulty.calls == [WRITE, "batch_get_item", WRITE]


async def test_a_conflict_is_tried_again(make_suite: MakeSuite, faulty: FaultyClient) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    faulty.fail(WRITE, before=cancelled(*MET))
    await made(suite, count=2)
    # Who loses is turned away by a read, and then told of all that is in the way.
    faulty.fail(WRITE, before=cancelled(*MET))
    assert await conflicts(await ask(suite, count=2, patient="other")) == [
        ("2026-03-03T09:00:00Z", "slot_taken"),
        ("2026-03-10T09:00:00Z", "slot_taken"),
    ]


async def test_reasons_that_come_and_go_without_end_are_an_honest_503(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    await suite.slots("2026-03-03", "2026-03-03")
    # What stood in the way is never there when it is looked for.
    faulty.faults = [(WRITE, cancelled(*TAKEN), None), ("batch_get_item", None, None)] * 5
    answer = await ask(suite, count=2)
    assert (answer.status, (await answer.json())["code"]) == (503, "store_unavailable")
    assert await statuses(suite) == []


async def test_a_series_whose_answer_was_lost_is_recognized_as_its_own(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()

    def lose_an_answer_and_meet_a_conflict(*codes: str) -> None:
        faulty.fail(WRITE, after=ReadTimeoutError(endpoint_url="http://127.0.0.1"))
        faulty.fail(WRITE, before=cancelled(*codes))

    lose_an_answer_and_meet_a_conflict(*MET)
    items = await made(suite, count=2)
    listed = await suite.client.get("/v1/appointments", headers=suite.patient())
    assert (await listed.json())["items"] == items
    lose_an_answer_and_meet_a_conflict(*MET[:-1])
    answer = await cancel(suite, items[0], series="remaining")
    assert (answer.status, (await answer.json())["version"]) == (200, 2)
    assert (await audited(suite)).breaches == []


async def test_a_change_of_hours_governs_other_instances_at_once(make_suite: MakeSuite) -> None:
    one, other = await make_suite(), await make_suite()
    await one.set_hours()
    assert await other.slots("2026-03-03", "2026-03-03")
    await one.set_hours(slot_minutes=45)
    assert starts(await made(other, "2026-03-03T09:45:00Z", count=2))[1] == "2026-03-10T09:45:00Z"
    await one.set_hours(weekly={"mon": [{"start": "15:00", "end": "16:00"}]})
    assert await conflicts(await ask(other, count=1)) == [("2026-03-03T09:00:00Z", "outside_hours")]


async def test_each_appointment_counts(suite: Suite) -> None:
    await suite.set_hours()
    items = await made(suite, count=4)
    assert (await cancel(suite, items[1], series="remaining")).status == 200
    seen = await counts(suite, "appointment_changes_total")
    assert seen == {"booked": 4, "cancelled": 3}
