"""The earliest open slots of a specialty: those of its doctors, one by one, put together."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from appointments_service.domain.earliest import Offer, first_moment, windows
from appointments_service.domain.schedules import WEEKDAYS, Interval, Override
from appointments_service.errors import NoScheduleError
from appointments_service.service.hours import HoursCache
from appointments_service.service.schedules import Schedules
from appointments_service.service.searching import Searching
from appointments_service.store import AppointmentStore, CalendarView
from appointments_service.store_dynamodb import DynamoDBStore, items
from tests.appointments.clinics import TODAY, Clinic, change_hours, random_clinic
from tests.appointments.conftest import NOW, MakeSuite, Suite
from tests.appointments.faults import FaultyClient


async def union(clinic: Clinic, first: date, last: date, patient_id: str | None) -> list[Offer]:
    """What each doctor's own open slots are, in the order of a search."""
    store = cast(AppointmentStore, clinic)
    schedules = Schedules(store, clinic, HoursCache(store, lambda: NOW), lambda: NOW)
    found = []
    for doctor in clinic.doctors:
        try:
            _, days = await schedules.open_days(doctor, first, last, patient_id)
        except NoScheduleError:
            continue
        found += [Offer(slot.start, doctor, slot.end) for day in days for slot in day]
    return sorted(found)


async def searched(
    searching: Searching, first: date, last: date, limit: int, patient_id: str | None
) -> list[Offer]:
    found = await searching.earliest("any", first, last, limit, patient_id)
    assert all(one.doctor_name == one.offer.doctor_id.upper() for one in found)
    return [one.offer for one in found]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    begin=st.integers(-3, 9),
    days=st.integers(0, 12),
    limit=st.sampled_from([1, 2, 3, 5, 10, 30, 200]),
    patient_id=st.sampled_from(["pat", None]),
)
async def test_it_is_the_union_of_each_doctors_own(
    seed: int, begin: int, days: int, limit: int, patient_id: str | None
) -> None:
    draw = random.Random(seed)
    clinic = random_clinic(draw)
    first = TODAY + timedelta(days=begin)
    last = first + timedelta(days=days)
    store = cast(AppointmentStore, clinic)
    cache = HoursCache(store, lambda: NOW)
    searching = Searching(store, clinic, cache, lambda: NOW)
    for version in (2, 3, 4):
        expected = (await union(clinic, first, last, patient_id))[:limit]
        assert await searched(searching, first, last, limit, patient_id) == expected
        for doctor in clinic.doctors:
            chance = draw.random()
            if chance < 0.3:  # what this process knows is then of another version, or of none
                change_hours(clinic, doctor, draw, version)
            elif chance < 0.6:
                await cache.read(doctor)


async def test_hours_that_change_while_they_are_read_are_looked_at_again() -> None:
    draw = random.Random(4)

    class Changing(Clinic):
        """Each of the first reads of calendars finds other hours than the one before."""

        changes = 3

        async def read_calendars(
            self, days: Mapping[str, Sequence[int]], patient_id: str | None, more: Sequence[int]
        ) -> dict[str, CalendarView]:
            if self.changes:
                self.changes -= 1
                change_hours(self, "doc", draw, 10 - self.changes)
                opened = dict.fromkeys(WEEKDAYS, (Interval(0, 1440),))
                schedule = replace(
                    self.schedules["doc"], weekly=opened, horizon_days=90, min_notice_minutes=0
                )
                self.schedules["doc"] = schedule
            return await super().read_calendars(days, patient_id, more)

    clinic = Changing(doctors=["doc"])
    store = cast(AppointmentStore, clinic)
    searching = Searching(store, clinic, HoursCache(store, lambda: NOW), lambda: NOW)
    last = TODAY + timedelta(days=5)
    found = await searched(searching, TODAY, last, 200, None)
    assert found
    assert found == (await union(clinic, TODAY, last, None))[:200]


async def test_a_later_date_may_begin_earlier_elsewhere() -> None:
    clinic = Clinic(doctors=["here", "ahead"])
    for doctor, zone, day, start in (
        ("here", "UTC", TODAY, 1200),
        ("ahead", "Pacific/Kiritimati", TODAY + timedelta(days=1), 540),
    ):
        change_hours(clinic, doctor, random.Random(1), 1)
        weekly = {WEEKDAYS[day.weekday()]: (Interval(start, start + 240),)}
        schedule = replace(
            clinic.schedules[doctor],
            timezone=zone,
            weekly=weekly,
            slot_minutes=60,
            min_notice_minutes=0,
            horizon_days=90,
        )
        clinic.schedules[doctor] = schedule
    clinic.overrides.clear()
    store = cast(AppointmentStore, clinic)
    searching = Searching(store, clinic, HoursCache(store, lambda: NOW), lambda: NOW)
    found = await searched(searching, TODAY, TODAY + timedelta(days=1), 1, None)
    assert [(one.doctor_id, datetime.fromtimestamp(one.start, UTC).hour) for one in found] == [
        ("ahead", 19)
    ]


@given(st.integers(-5, 70))
def test_windows_are_all_dates_once(days: int) -> None:
    last = TODAY + timedelta(days=days)
    dates = [
        begin + timedelta(days=n)
        for begin, end in windows(TODAY, last)
        for n in range((end - begin).days + 1)
    ]
    assert dates == [TODAY + timedelta(days=n) for n in range(days + 1)]
    assert len(list(windows(TODAY, TODAY + timedelta(days=61)))) == 7


def test_a_date_begins_when_it_does_in_the_first_of_the_zones() -> None:
    def at(day: str, *zones: str) -> str:
        return datetime.fromtimestamp(first_moment(date.fromisoformat(day), zones), UTC).isoformat()

    assert at("2026-03-03", "UTC", "Pacific/Kiritimati") == "2026-03-02T10:00:00+00:00"
    # A midnight that comes twice, and one that is skipped.
    assert at("2026-11-01", "America/Havana") == "2026-11-01T04:00:00+00:00"
    assert at("2026-09-06", "America/Santiago") == "2026-09-06T04:00:00+00:00"


async def search(suite: Suite, first: str, last: str, **query: Any) -> list[dict[str, str]]:
    headers = query.pop("headers", {})
    params = {"specialty": "medicine", "from": first, "to": last, **query}
    answer = await suite.client.get("/v1/slots", params=params, headers=headers)
    assert answer.status == 200, await answer.text()
    found: list[dict[str, str]] = (await answer.json())["items"]
    return found


def starts(found: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(one["starts_at"], one["doctor_id"]) for one in found]


async def test_all_that_is_offered_can_be_booked(suite: Suite) -> None:
    for n in range(3):
        await suite.set_hours(f"doc{n}", weekly={"tue": [{"start": "09:00", "end": "10:00"}]})
    suite.users.add_doctor("surgeon", specialty="surgery")
    await suite.set_hours("surgeon")
    suite.users.add_doctor("closed", accepting=False)
    await suite.set_hours("closed")
    suite.users.add_doctor("new")
    found = await search(suite, "2026-03-02", "2026-03-08")
    assert starts(found) == [
        (f"2026-03-03T09:{minute}:00Z", f"doc{n}") for minute in ("00", "30") for n in range(3)
    ]
    assert found[0] == {
        "doctor_id": "doc0",
        "doctor_name": "Dr. Who",
        "starts_at": "2026-03-03T09:00:00Z",
        "ends_at": "2026-03-03T09:30:00Z",
    }
    for one in found:
        await suite.booked(one["starts_at"], doctor=one["doctor_id"], patient=one["doctor_id"])
    assert await search(suite, "2026-03-02", "2026-03-08") == []
    assert len(await search(suite, "2026-03-02", "2026-03-31", limit=4)) == 4
    assert await search(suite, "2026-03-02", "2026-03-08", specialty="none of it") == []


async def test_a_patients_own_calendar_is_left_out(suite: Suite) -> None:
    await suite.set_hours("one")
    await suite.set_hours("two")
    await suite.booked("2026-03-03T09:00:00Z", doctor="one")
    everybodys = starts(await search(suite, "2026-03-03", "2026-03-03", limit=2))
    assert everybodys == [("2026-03-03T09:00:00Z", "two"), ("2026-03-03T09:30:00Z", "one")]
    own = await search(suite, "2026-03-03", "2026-03-03", limit=1, headers=suite.patient())
    assert starts(own) == [("2026-03-03T09:30:00Z", "one")]


async def test_a_change_of_hours_or_of_who_takes_patients_shows_at_once(
    make_suite: MakeSuite,
) -> None:
    one, other = await make_suite(), await make_suite()
    await one.set_hours()
    for instance in (one, other):
        assert len(await search(instance, "2026-03-03", "2026-03-03")) == 6
    path = "/v1/schedules/doc/overrides/2026-03-03"
    answer = await one.client.put(path, json={"closed": True}, headers=one.doctor())
    assert answer.status == 200
    for instance in (one, other):
        assert await search(instance, "2026-03-03", "2026-03-03") == []
    await one.client.delete(path, headers=one.doctor())
    one.users.add_doctor("new")
    await one.set_hours("new")
    for instance in (one, other):
        assert len(await search(instance, "2026-03-03", "2026-03-03")) == 12
    one.users.doctors["doc"]["accepting_patients"] = False
    assert len(await search(other, "2026-03-03", "2026-03-03")) == 6


@pytest.mark.parametrize(
    ("query", "field_name"),
    [
        ({"from": "2026-03-03", "to": "2026-03-02"}, "to"),
        ({"from": "2026-03-03", "to": "2026-05-04"}, "to"),
        ({"from": "2026-03-03"}, "to"),
        ({"from": "tomorrow", "to": "2026-03-03"}, "from"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "1_0"}, "limit"),
        ({"specialty": ""}, "specialty"),
        ({"specialty": "x" * 101}, "specialty"),
    ],
)
async def test_what_is_wrong_is_told_by_its_name(
    suite: Suite, query: dict[str, str], field_name: str
) -> None:
    params = {"specialty": "medicine", **query}
    if "from" not in query:
        params |= {"from": "2026-03-03", "to": "2026-03-03"}
    answer = await suite.client.get("/v1/slots", params=params)
    problem = await answer.json()
    assert (answer.status, problem["code"]) == (422, "validation_failed")
    assert [error["loc"] for error in problem["errors"]] == [["query", field_name]]


async def test_the_ends_of_the_calendar_are_dates_too(suite: Suite) -> None:
    await suite.set_hours()
    assert await search(suite, "0001-01-01", "0001-01-31") == []
    assert await search(suite, "9999-12-01", "9999-12-31") == []
    assert await search(suite, "2026-03-03", "2026-03-03", specialty="a&b=c%/?# é\0") == []
    for broken in ("%ED%A0%80", "%FF", "%"):  # no UTF-8, and no escape
        query = f"specialty={broken}&from=2026-03-03&to=2026-03-03"
        answer = await suite.client.get(URL(f"/v1/slots?{query}", encoded=True))
        assert answer.status in (200, 422), await answer.text()


async def test_without_users_nobody_knows_who_they_are(suite: Suite) -> None:
    suite.users.away = True
    params = {"specialty": "medicine", "from": "2026-03-03", "to": "2026-03-03"}
    answer = await suite.client.get("/v1/slots", params=params)
    assert (answer.status, (await answer.json())["code"]) == (503, "users_unavailable")


DOCTORS = 300


async def test_hundreds_of_doctors_take_a_bounded_number_of_calls(
    make_suite: MakeSuite, faulty: FaultyClient, table: str
) -> None:
    suite = await make_suite(faulty)
    draw = random.Random(1)
    clinic = Clinic()
    store = DynamoDBStore(faulty, table)
    for n in range(DOCTORS):
        doctor = suite.users.add_doctor(f"doc{n:03}")
        change_hours(clinic, doctor, draw, 1)
        # Nothing for a week, so that a search has to go on.
        schedule = replace(
            clinic.schedules[doctor],
            timezone="UTC",
            weekly=dict.fromkeys(WEEKDAYS, (Interval(540, 1020),)),
            buffer_after_minutes=0,
            min_notice_minutes=7 * 1440,
            horizon_days=90,
        )
        await store.write_schedule(schedule, None)
    closed = Override("doc000", date(2026, 3, 10), (), 1)
    await faulty.put_item(TableName=table, Item=items.override_item(closed))

    async def calls(first: str, last: str, limit: int) -> tuple[int, list[dict[str, str]]]:
        faulty.calls.clear()
        suite.users.asked.clear()
        found = await search(suite, first, last, limit=limit)
        assert set(faulty.calls) <= {"batch_get_item"}
        assert suite.users.asked == ["/v1/doctors"] * 2
        return len(faulty.calls), found

    # Nobody's hours are known: schedules (3), then each date's overrides (3), and calendars with
    # the schedules again (6).
    count, found = await calls("2026-03-10", "2026-03-10", 200)
    assert count <= 12
    assert (len(found), {one["starts_at"] for one in found[:199]}) == (
        200,
        {"2026-03-10T09:00:00Z"},
    )
    assert "doc000" not in {one["doctor_id"] for one in found}
    # All are known.
    count, again = await calls("2026-03-10", "2026-03-10", 200)
    assert count <= 6
    assert again == found
    # The first windows are of dates on which nobody can be booked: no more than the schedules.
    # Then 8 dates at once: 24 calls for their overrides, 27 for them and the schedules.
    count, found = await calls("2026-03-02", "2026-03-31", 50)
    assert count <= 3 * 3 + 24 + 27
    assert found[0]["starts_at"] >= "2026-03-09T08:00:00Z"
    # Everything, where nothing can be found.
    count, found = await calls("2026-06-02", "2026-08-02", 200)
    assert count <= 7 * 3
    assert found == []
