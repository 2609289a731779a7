"""Calendar feeds: whose they are, who can read them, and for how long."""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from appointments_service.domain.feeds import Feed
from appointments_service.service import calendars
from appointments_service.service.calendars import digest_of
from appointments_service.store_dynamodb import DynamoDBStore
from tests.appointments.conftest import NOW, MakeSuite, Suite
from tests.appointments.faults import FaultyClient, conflict
from tests.appointments.test_erasure import erase, everything
from tests.appointments.test_icalendar import by_icalendar, by_vobject

WRITE = "transact_write_items"


async def subscribe(suite: Suite, headers: dict[str, str]) -> str:
    """The path of a new feed."""
    answer = await suite.client.post("/v1/calendars", headers=headers)
    assert answer.status == 201, await answer.text()
    assert answer.headers["Cache-Control"] == "no-store"
    url: str = (await answer.json())["url"]
    assert url.startswith(str(suite.client.make_url("/v1/calendars/")))
    assert re.fullmatch(r"/v1/calendars/[A-Za-z0-9_-]{43}\.ics", path := url[url.index("/v1") :])
    return path


async def read(suite: Suite, path: str, **headers: str) -> Any:
    answer = await suite.client.get(path, headers=headers)
    return answer, await answer.read()


async def events(suite: Suite, path: str) -> dict[str, Any]:
    answer, raw = await read(suite, path)
    assert answer.status == 200, raw
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    found = by_icalendar(raw)
    assert found.keys() == by_vobject(raw).keys()
    return {uid.partition("@")[0]: event for uid, event in found.items()}


async def refused(suite: Suite, path: str) -> dict[str, Any]:
    answer, raw = await read(suite, path)
    assert answer.status == 404, raw
    problem: dict[str, Any] = json.loads(raw)
    return {name: problem[name] for name in problem.keys() - {"instance", "request_id"}}


async def change(suite: Suite, made: dict[str, Any], verb: str, **body: Any) -> dict[str, Any]:
    path = f"/v1/appointments/{made['id']}/{verb}"
    answer = await suite.client.post(path, json=body, headers=suite.patient())
    assert answer.status == 200, await answer.text()
    changed: dict[str, Any] = await answer.json()
    return changed


async def test_a_patients_and_a_doctors_feed_tell_their_appointments(suite: Suite) -> None:
    suite.users.add_patient("pat")
    await suite.set_hours(timezone="Europe/Berlin")
    kept = await suite.booked("2026-03-03T09:00:00Z", reason="private")
    gone = await suite.booked("2026-03-30T07:00:00Z")
    others = await suite.booked("2026-03-03T08:00:00Z", patient="other")
    patients = await subscribe(suite, suite.patient())
    doctors = await subscribe(suite, suite.doctor())

    mine = await events(suite, patients)
    assert mine.keys() == {kept["id"], gone["id"]}
    assert mine[kept["id"]]["DTSTART"].isoformat() == "2026-03-03T09:00:00+00:00"
    assert mine[gone["id"]]["DTEND"].isoformat() == "2026-03-30T07:30:00+00:00"
    assert str(mine[kept["id"]]["SUMMARY"]) == "Appointment with Dr. Who"
    theirs = await events(suite, doctors)
    assert theirs.keys() == {kept["id"], gone["id"], others["id"]}
    assert str(theirs[kept["id"]]["SUMMARY"]) == "Appointment (T. P.)"
    for path in (patients, doctors):
        assert b"private" not in (await read(suite, path))[1]

    await change(suite, kept, "reschedule", starts_at="2026-03-04T09:00:00Z")
    await change(suite, gone, "cancel")
    for path in (patients, doctors):
        after = await events(suite, path)
        assert after[kept["id"]]["DTSTART"].isoformat() == "2026-03-04T09:00:00+00:00"
        assert str(after[gone["id"]]["STATUS"]) == "CANCELLED"
        assert [after[one["id"]]["SEQUENCE"] for one in (kept, gone)] == [1, 1]


async def test_the_past_is_told_for_thirty_days(suite: Suite) -> None:
    suite.users.add_patient("pat")
    await suite.set_hours()
    made = await suite.booked("2026-03-03T09:00:00Z")
    path = await subscribe(suite, suite.patient())
    suite.clock.now = NOW.replace(day=3, hour=9) + calendars.PAST
    assert (await events(suite, path)).keys() == {made["id"]}
    suite.advance(seconds=1)
    assert await events(suite, path) == {}


async def test_a_feed_takes_a_bounded_number_of_reads(
    make_suite: MakeSuite, faulty: FaultyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = await make_suite(faulty)
    await suite.set_hours()
    made = [await suite.booked(f"2026-03-03T{hour}:00Z") for hour in ("09:00", "09:30", "10:00")]
    path = await subscribe(suite, suite.doctor())
    monkeypatch.setattr(calendars, "PAGE", 1)
    monkeypatch.setattr(calendars, "PAGES", 2)
    faulty.calls.clear()
    assert (await events(suite, path)).keys() == {one["id"] for one in made[:2]}
    assert faulty.calls == ["get_item", "query", "query"]


async def test_what_is_known_is_not_told_again(suite: Suite) -> None:
    suite.users.add_patient("pat")
    await suite.set_hours()
    made = await suite.booked()
    path = await subscribe(suite, suite.patient())
    answer, raw = await read(suite, path)
    assert answer.headers["Cache-Control"] == "private, max-age=300"
    suite.advance(minutes=10)
    for known in (answer.headers["ETag"], f'"other", W/{answer.headers["ETag"]}', "*"):
        again, nothing = await read(suite, path, **{"If-None-Match": known})
        assert (again.status, nothing) == (304, b"")
        assert again.headers["ETag"] == answer.headers["ETag"]
    assert (await read(suite, path, **{"If-None-Match": '"other"'}))[1] == raw
    await change(suite, made, "cancel")
    again, _ = await read(suite, path, **{"If-None-Match": answer.headers["ETag"]})
    assert again.status == 200


async def test_a_new_secret_ends_the_old_one_and_all_that_open_nothing_look_the_same(
    suite: Suite,
) -> None:
    suite.users.add_patient("pat")
    suite.users.add_patient("other")
    others = await subscribe(suite, suite.patient("other"))
    old = await subscribe(suite, suite.patient())
    new = await subscribe(suite, suite.patient())
    assert await events(suite, new) == {}
    problem = await refused(suite, old)
    assert problem["code"] == "not_found"
    for secret in ("A" * 43, "short", "%00", "%ed%a0%80", "é" * 43, "A" * 3000):
        assert await refused(suite, f"/v1/calendars/{secret}.ics") == problem
    for _ in range(2):
        answer = await suite.client.delete("/v1/calendars", headers=suite.patient())
        assert answer.status == 204
        assert await refused(suite, new) == problem
    assert await events(suite, others) == {}
    assert await events(suite, await subscribe(suite, suite.patient())) == {}


async def test_only_patients_and_doctors_have_one(suite: Suite) -> None:
    for method in ("POST", "DELETE"):
        answer = await suite.client.request(method, "/v1/calendars", headers=suite.admin())
        assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")
        assert (await suite.client.request(method, "/v1/calendars")).status == 401


async def test_the_secret_is_not_in_the_table(suite: Suite) -> None:
    path = await subscribe(suite, suite.patient())
    secret = path.removeprefix("/v1/calendars/").removesuffix(".ics")
    table = await everything(suite)
    assert secret not in table
    assert digest_of(secret) in table


async def test_an_account_that_is_not_active_has_no_feed(suite: Suite) -> None:
    suite.users.add_patient("pat")
    await suite.set_hours()
    patients = await subscribe(suite, suite.patient())
    doctors = await subscribe(suite, suite.doctor())
    suite.users.patients["pat"]["status"] = "disabled"
    doctor = suite.users.doctors.pop("doc")
    assert await refused(suite, patients) == await refused(suite, doctors)
    suite.users.patients["pat"]["status"] = "active"
    suite.users.doctors["doc"] = doctor
    for path in (patients, doctors):
        assert await events(suite, path) == {}
    suite.users.patients["pat"]["role"] = "doctor"
    await refused(suite, patients)
    suite.users.away = True
    answer, raw = await read(suite, doctors)
    assert (answer.status, json.loads(raw)["code"]) == (503, "users_unavailable")


async def test_it_goes_with_the_account(suite: Suite) -> None:
    suite.users.add_patient("zoe")
    suite.users.add_doctor("doc")
    before = await everything(suite)
    paths = [await subscribe(suite, suite.patient("zoe")), await subscribe(suite, suite.doctor())]
    for owner in ("zoe", "doc"):
        await erase(suite, owner)
    for path in paths:
        await refused(suite, path)
    assert await everything(suite) == before


async def test_a_doctors_feed_is_told_in_the_trail_of_reads(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    suite.users.add_patient("pat")
    await suite.set_hours()
    await suite.booked()
    patients = await subscribe(suite, suite.patient())
    doctors = await subscribe(suite, suite.doctor())
    capsys.readouterr()
    answer, _ = await read(suite, doctors)
    await read(suite, patients)
    await read(suite, doctors, **{"If-None-Match": answer.headers["ETag"]})
    logged = capsys.readouterr().out
    assert logged.count("subjects") == 1
    assert "GET /v1/calendars/{secret}.ics" in logged
    assert not any(path.split("/")[-1][:43] in logged for path in (patients, doctors))


def feed(number: int, owner: str = "pat") -> Feed:
    return Feed(digest_of(f"secret {number}"), owner, "patient", NOW)


async def test_of_many_replacements_at_once_one_feed_remains(dynamodb: Any, table: str) -> None:
    store = DynamoDBStore(dynamodb, table)
    feeds = [feed(n) for n in range(8)]
    await asyncio.gather(*map(store.replace_feed, feeds))
    found = [await store.read_feed(one.digest) for one in feeds]
    assert len([one for one in found if one is not None]) == 1
    assert all(one is None or one in feeds for one in found)
    await store.remove_feed("pat")
    assert (await dynamodb.scan(TableName=table))["Items"] == []


async def test_a_replacement_whose_answer_is_lost_has_happened_once(
    faulty: FaultyClient, table: str
) -> None:
    store = DynamoDBStore(faulty, table)
    await store.replace_feed(feed(1))
    faulty.fail(WRITE, before=conflict(WRITE, 3))
    faulty.fail(WRITE, after=EndpointConnectionError(endpoint_url="http://store"))
    await store.replace_feed(feed(2))
    assert await store.read_feed(feed(1).digest) is None
    assert await store.read_feed(feed(2).digest) == feed(2)
    # Its answer was lost, and the same is asked for once more: it is there.
    calls = len(faulty.calls)
    await store.replace_feed(feed(2))
    assert faulty.calls[calls:] == ["get_item"]
    assert len((await faulty.scan(TableName=table))["Items"]) == 2


def test_a_secret_has_as_many_bits_as_are_said() -> None:
    assert calendars.SECRET_BYTES * 8 >= 128
    assert timedelta(minutes=5) < calendars.REFRESH
