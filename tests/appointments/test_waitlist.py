"""Waiting for a doctor's time, as patients meet it."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from appointments_service.store_waitlist import MOST_ENTRIES
from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.faults import WRITE, FaultyClient, conflict
from tests.appointments.test_metrics import counts
from tests.tools.audits import audited

NINE, TEN, ELEVEN = (f"2026-03-03T{hour:02}:00:00Z" for hour in (9, 10, 11))
ONE_SLOT = [{"start": "09:00", "end": "09:30"}]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


async def full(suite: Suite, **schedule: Any) -> dict[str, Any]:
    """A doctor with one time a day, of which the one on the 3rd is booked."""
    await suite.set_hours(weekly=dict.fromkeys(DAYS, ONE_SLOT), **schedule)
    return await suite.booked(NINE, patient="first")


async def join(
    suite: Suite, patient: str = "pat", day: str = "2026-03-03", **more: Any
) -> ClientResponse:
    headers = {**suite.patient(patient), **more.pop("headers", {})}
    body = {"doctor_id": "doc", "from": day, "to": day, **more}
    return await suite.client.post("/v1/waitlist", json=body, headers=headers)


async def joined(suite: Suite, patient: str = "pat", **more: Any) -> dict[str, Any]:
    answer = await join(suite, patient, **more)
    assert answer.status == 201, await answer.text()
    made: dict[str, Any] = await answer.json()
    assert answer.headers["ETag"] == '"1"'
    return made


async def waits(suite: Suite, patient: str = "pat") -> list[dict[str, Any]]:
    answer = await suite.client.get("/v1/waitlist", headers=suite.patient(patient))
    assert answer.status == 200, await answer.text()
    items: list[dict[str, Any]] = (await answer.json())["items"]
    return items


async def statuses(suite: Suite, *patients: str) -> list[str]:
    return [entry["status"] for patient in patients for entry in await waits(suite, patient)]


async def cancel(suite: Suite, made: dict[str, Any]) -> None:
    path = f"/v1/appointments/{made['id']}/cancel"
    answer = await suite.client.post(path, headers=suite.admin())
    assert answer.status == 200, await answer.text()


async def accept(
    suite: Suite, entry: dict[str, Any], patient: str = "pat", **headers: str
) -> ClientResponse:
    return await suite.client.post(
        f"/v1/waitlist/{entry['id']}/accept", headers={**suite.patient(patient), **headers}
    )


async def leave(
    suite: Suite, entry: dict[str, Any], patient: str = "pat", **headers: str
) -> ClientResponse:
    return await suite.client.delete(
        f"/v1/waitlist/{entry['id']}", headers={**suite.patient(patient), **headers}
    )


async def refused(answer: ClientResponse, status: int, code: str) -> dict[str, Any]:
    told: dict[str, Any] = await answer.json()
    assert (answer.status, told["code"]) == (status, code), told
    return told


async def test_a_freed_time_is_offered_to_who_waits_longest_and_accepted(suite: Suite) -> None:
    taken = await full(suite)
    entry = await joined(suite)
    assert entry == {
        "id": entry["id"],
        "doctor_id": "doc",
        "patient_id": "pat",
        "from": "2026-03-03",
        "to": "2026-03-03",
        "status": "waiting",
        "offer": None,
        "version": 1,
        "created_at": "2026-03-02T08:00:00Z",
    }
    suite.advance(seconds=1)
    await joined(suite, "later")
    await suite.fill()
    assert await waits(suite) == [entry]
    await cancel(suite, taken)
    await suite.fill()
    [offered] = await waits(suite)
    assert offered == {
        **entry,
        "status": "offered",
        "version": 2,
        "offer": {
            "starts_at": NINE,
            "ends_at": "2026-03-03T09:30:00Z",
            "expires_at": "2026-03-02T09:00:01Z",
        },
    }
    assert await statuses(suite, "later") == ["waiting"]
    # It is held meanwhile: nobody sees it, and nobody else gets it.
    assert await suite.slots("2026-03-03", "2026-03-03") == []
    await refused(await suite.book(NINE, patient="third"), 409, "slot_taken")
    assert (await audited(suite)).breaches == []

    answer = await accept(suite, offered)
    made = await answer.json()
    assert answer.status == 201, made
    assert answer.headers["ETag"] == '"1"'
    shown = ("patient_id", "doctor_id", "starts_at", "status", "override", "timezone")
    assert [made[name] for name in shown] == ["pat", "doc", NINE, "booked", False, "UTC"]
    [booked] = await waits(suite)
    assert (booked["status"], booked["offer"], booked["version"]) == ("booked", None, 3)
    await refused(await accept(suite, booked), 409, "offer_expired")
    await refused(await leave(suite, booked), 409, "wrong_status")
    await suite.fill()
    assert await statuses(suite, "later") == ["waiting"]
    assert (await audited(suite)).breaches == []
    assert await counts(suite, "waitlist_offers_total") == {"made": 1, "accepted": 1}
    assert await counts(suite, "waitlist_entries") == {"": 1}


async def test_a_lapsed_offer_ends_its_entry_and_goes_to_the_next(suite: Suite) -> None:
    taken = await full(suite)
    entry = await joined(suite)
    suite.advance(seconds=1)
    second = await joined(suite, "later")
    await cancel(suite, taken)
    await suite.fill()
    suite.advance(minutes=60)
    # Overdue is overdue, also while nobody has looked.
    await refused(await accept(suite, entry), 409, "offer_expired")
    await suite.fill()
    assert await statuses(suite, "pat", "later") == ["expired", "offered"]
    await refused(await accept(suite, entry), 409, "offer_expired")
    assert (await accept(suite, second, "later")).status == 201
    assert await counts(suite, "waitlist_offers_total") == {"made": 2, "lapsed": 1, "accepted": 1}
    assert (await audited(suite)).breaches == []


async def test_another_instance_goes_on_where_one_has_ended(
    make_suite: MakeSuite, faulty: FaultyClient
) -> None:
    one: Suite = await make_suite(faulty)
    taken = await full(one)
    entry = await joined(one)
    one.advance(seconds=1)
    await joined(one, "later")
    await cancel(one, taken)
    await one.fill()
    await one.client.close()
    two: Suite = await make_suite()
    two.advance(minutes=61)
    await two.fill()
    assert await statuses(two, "pat", "later") == ["expired", "offered"]
    await refused(await accept(two, entry), 409, "offer_expired")


async def test_who_leaves_gives_the_offer_to_the_next(suite: Suite) -> None:
    taken = await full(suite)
    entry = await joined(suite)
    suite.advance(seconds=1)
    await joined(suite, "later")
    await cancel(suite, taken)
    await suite.fill()
    assert (await leave(suite, entry, **{"If-Match": '"1"'})).status == 412
    assert (await accept(suite, entry, **{"If-Match": '"1"'})).status == 412
    assert (await leave(suite, entry, **{"If-Match": '"2"'})).status == 204
    assert (await leave(suite, entry)).status == 204  # again, it changes nothing
    await suite.fill()
    assert await statuses(suite, "pat", "later") == ["cancelled", "offered"]
    assert (await waits(suite))[0]["version"] == 3
    assert await counts(suite, "waitlist_offers_total") == {"made": 2, "withdrawn": 1}
    assert (await audited(suite)).breaches == []


async def test_a_time_that_the_patient_does_not_have_goes_to_the_next(suite: Suite) -> None:
    taken = await full(suite)
    await suite.set_hours("other")
    await suite.booked(NINE, doctor="other")
    await joined(suite)
    suite.advance(seconds=1)
    await joined(suite, "later")
    await cancel(suite, taken)
    await suite.fill()
    assert await statuses(suite, "pat", "later") == ["waiting", "offered"]


async def test_who_is_busy_by_now_is_told_and_may_accept_once_free(suite: Suite) -> None:
    taken = await full(suite)
    await suite.set_hours("other")
    entry = await joined(suite)
    await cancel(suite, taken)
    await suite.fill()
    # An offer is nothing that the patient has agreed to: it doesn't keep it from another time.
    meanwhile = await suite.booked(NINE, doctor="other")
    await refused(await accept(suite, entry), 409, "patient_busy")
    await cancel(suite, meanwhile)
    assert (await accept(suite, entry)).status == 201
    assert (await audited(suite)).breaches == []


async def test_one_time_an_entry_and_one_entry_a_time(suite: Suite) -> None:
    await suite.set_hours()
    names = [f"p{n}" for n in range(8)]
    for name in names:
        suite.advance(seconds=1)
        await joined(suite, name)
    await suite.fill()
    offers = [(await waits(suite, name))[0]["offer"] for name in names]
    starts = [offer["starts_at"] for offer in offers[:6]]
    assert starts == sorted(set(starts))
    assert starts[0] == NINE
    assert offers[6:] == [None, None]  # six half hours a day
    assert (await audited(suite)).breaches == []


async def test_an_idempotency_key_joins_and_accepts_once(suite: Suite) -> None:
    taken = await full(suite)
    key = {"Idempotency-Key": "k"}
    first = await join(suite, headers=key)
    again = await join(suite, headers=key)
    assert await first.read() == await again.read()
    assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.headers["ETag"] == '"1"'
    assert len(await waits(suite)) == 1
    await refused(await join(suite, headers=key, day="2026-03-04"), 422, "idempotency_key_reused")
    entry = await first.json()
    await cancel(suite, taken)
    await suite.fill()
    made = await accept(suite, entry, **key)
    again = await accept(suite, entry, **key)
    assert (made.status, again.status) == (201, 201)
    assert await made.read() == await again.read()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await audited(suite)).breaches == []


@pytest.mark.parametrize("keyed", [True, False])
async def test_a_lost_answer_is_found_again(
    make_suite: MakeSuite, faulty: FaultyClient, keyed: bool
) -> None:
    """The write took effect, its answer was lost, and what followed met a conflict."""
    suite: Suite = await make_suite(faulty)
    taken = await full(suite)
    headers = {"Idempotency-Key": "k"} if keyed else {}

    def lose(actions: int) -> None:
        faulty.fail(WRITE, after=ConnectionError())
        faulty.fail(WRITE, before=conflict(WRITE, actions + keyed))

    lose(4)
    entry = await joined(suite, headers=headers)
    assert not faulty.faults
    assert len(await waits(suite)) == 1
    await cancel(suite, taken)
    await suite.fill()
    lose(8)
    assert (await accept(suite, entry, **headers)).status == 201
    assert not faulty.faults
    assert await statuses(suite, "pat") == ["booked"]
    assert (await audited(suite)).breaches == []


async def test_nothing_is_offered_of_who_takes_no_patients(suite: Suite) -> None:
    taken = await full(suite)
    entry = await joined(suite)
    suite.users.add_doctor("doc", accepting=False)
    await cancel(suite, taken)
    await suite.fill()
    assert await statuses(suite, "pat") == ["waiting"]
    suite.users.add_doctor("doc")
    await suite.fill()
    suite.users.add_doctor("doc", accepting=False)
    await refused(await accept(suite, entry), 422, "doctor_unavailable")
    await refused(await join(suite), 422, "doctor_unavailable")
    await refused(await join(suite, doctor_id="nobody"), 422, "unknown_doctor")


async def test_an_entry_expires_with_its_dates(suite: Suite) -> None:
    await full(suite)
    await joined(suite)
    suite.advance(hours=39, minutes=59)
    await suite.fill()
    assert await statuses(suite, "pat") == ["waiting"]
    suite.advance(minutes=1)
    await suite.fill()
    assert await statuses(suite, "pat") == ["expired"]
    assert await counts(suite, "waitlist_offers_total") == {}
    await suite.fill()
    assert await counts(suite, "waitlist_entries") == {}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"from": "2026-03-04"}, "to"),
        ({"from": "2026-03-01", "to": "2026-03-01"}, "to"),
        ({"to": "03.03.2026"}, "to"),
        ({"to": None}, "to"),
        ({"surplus": 1}, "surplus"),
    ],
)
async def test_what_can_not_be_waited_for(suite: Suite, body: dict[str, Any], where: str) -> None:
    await full(suite)
    told = await refused(await join(suite, **body), 422, "validation_failed")
    assert told["errors"][0]["loc"][:2] == ["body", where]
    assert (await join(suite, to="9999-12-31")).status == 201
    await suite.fill()


async def test_one_waits_for_so_much_and_no_more(suite: Suite) -> None:
    await full(suite)
    made = [await joined(suite) for _ in range(MOST_ENTRIES - 1)]
    answers = await asyncio.gather(*(join(suite) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    await refused(await join(suite), 409, "too_many_entries")
    assert (await leave(suite, made[0])).status == 204
    assert (await join(suite)).status == 201
    await joined(suite, "another")


async def test_only_patients_and_only_their_own(suite: Suite) -> None:
    await full(suite)
    entry = await joined(suite)
    own = f"/v1/waitlist/{entry['id']}"
    calls = [("POST", "/v1/waitlist"), ("GET", "/v1/waitlist"), ("DELETE", own)]
    for method, path in [*calls, ("POST", f"{own}/accept")]:
        for headers, status in ((suite.doctor(), 403), (suite.admin(), 403), ({}, 401)):
            answer = await suite.client.request(method, path, headers=headers)
            assert answer.status == status
    assert (await leave(suite, entry, "other")).status == 404
    assert (await accept(suite, entry, "other")).status == 404
    assert await waits(suite, "other") == []
    for id_ in ("x", "pat" + "0" * 26):
        assert (await accept(suite, {"id": id_})).status == 404


async def test_the_list_comes_in_pages(suite: Suite) -> None:
    await full(suite)
    made = []
    for _ in range(5):
        suite.advance(seconds=1)
        made.append(await joined(suite))
    seen, cursor = [], ""
    while True:
        path = f"/v1/waitlist?limit=2{cursor}"
        page = await (await suite.client.get(path, headers=suite.patient())).json()
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == made
    bad = await suite.client.get("/v1/waitlist?cursor=x", headers=suite.patient())
    await refused(bad, 422, "bad_cursor")
