"""Offered means bookable, asked of the real service: random clinics, each with something booked."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.appointments.conftest import NOW, Suite

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati")
CLINICS = 24
REFUSED = 12


def random_hours() -> list[dict[str, str]]:
    edges = sorted(random.sample(range(0, 1441, 30), random.choice((2, 4))))
    texts = [f"{minutes // 60:02}:{minutes % 60:02}" for minutes in edges]
    return [
        {"start": start, "end": end} for start, end in zip(texts[::2], texts[1::2], strict=True)
    ]


async def open_clinic(suite: Suite, doctor: str) -> date:
    """A doctor with random hours, one date's own, and some times taken; the date to look at."""
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    await suite.set_hours(
        doctor,
        timezone=random.choice(ZONES),
        weekly={day: random_hours() for day in days},
        slot_minutes=random.choice((40, 60, 95)),
        buffer_before_minutes=random.choice((0, 15)),
        buffer_after_minutes=random.choice((0, 10, 60)),
        min_notice_minutes=random.choice((0, 90, 1440)),
        horizon_days=random.choice((2, 30)),
    )
    day = NOW.date() + timedelta(days=random.randrange(3))
    own = random_hours() if random.random() < 0.7 else []
    answer = await suite.client.put(
        f"/v1/schedules/{doctor}/overrides/{day}",
        json={"hours": own} if own else {"closed": True},
        headers=suite.doctor(doctor),
    )
    assert answer.status == 200
    for start in random.sample(starts_around(day), 3):
        # Whatever the hours say; the patient's own and other people's.
        taken = await suite.client.post(
            "/v1/appointments",
            json={
                "doctor_id": doctor,
                "starts_at": start,
                "patient_id": random.choice(("pat", "other")),
                "reason": "because",
                "override": True,
            },
            headers=suite.admin(),
        )
        assert taken.status in (201, 409, 422), await taken.text()
    return day


def starts_around(day: date) -> list[str]:
    """Every 5 minutes of a date in any zone."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=14)
    moments = (begin + timedelta(minutes=5 * n) for n in range(40 * 12))
    return [moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in moments]


async def explained(suite: Suite, doctor: str, start: str) -> Any:
    answer = await suite.client.get(
        f"/v1/schedules/{doctor}/explain", params={"starts_at": start}, headers=suite.patient()
    )
    assert answer.status == 200, await answer.text()
    return (await answer.json())["code"]


async def test_what_is_offered_books_and_all_else_is_refused_as_explained(suite: Suite) -> None:
    for name in ("pat", "other"):
        suite.users.add_patient(name)
    booked = 0
    for number in range(CLINICS):
        doctor = f"doc-{number}"
        day = await open_clinic(suite, doctor)
        offered = await suite.slots(f"{day}", f"{day}", doctor, **suite.patient())
        for start in offered:
            assert await explained(suite, doctor, start) is None
            made = await suite.booked(start, doctor=doctor)
            ended = await suite.client.post(
                f"/v1/appointments/{made['id']}/cancel", headers=suite.patient()
            )
            assert ended.status == 200
            booked += 1
        refused = [start for start in starts_around(day) if start not in offered]
        for start in random.sample(refused, REFUSED):
            code = await explained(suite, doctor, start)
            answer = await suite.book(start, doctor=doctor)
            if code is None:  # of the days beside it, which were not asked for
                assert answer.status == 201, start
            else:
                assert (await answer.json())["code"] == code, start
        again = await suite.slots(f"{day}", f"{day}", doctor, **suite.patient())
        assert set(again) <= set(offered)
    assert booked > CLINICS
