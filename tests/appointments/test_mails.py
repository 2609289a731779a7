"""Mails as the running service sends them: to a fake, and to SES as the emulator plays it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from appointments_service.mails import MAILS_DUE
from servicekit.mail import MailUnavailableError
from servicekit.mail_ses import open_ses
from servicekit.testing import FakeMailer
from tests.appointments.conftest import MakeSuite, Suite
from tests.appointments.test_metrics import counts

SENDER = "desk@clinic.example"


class Clinic:
    """An instance that mails to a fake."""

    def __init__(self, suite: Suite, mailer: FakeMailer) -> None:
        self.suite = suite
        self.mailer = mailer

    async def mails(self, count: int) -> list[tuple[str, str]]:
        """To whom and what about, once so many were sent."""
        while len(self.mailer.sent) < count:
            self.mailer.reached.clear()
            await self.mailer.reached.wait()
            await asyncio.sleep(0)
        return [(mail.to, mail.kind) for mail in self.mailer.sent]

    async def until_settled(self) -> None:
        """Returns when what was sent is noted, and the outbox was looked at since."""
        while await counts(self.suite, "outbox_pending"):
            self.look()
            await asyncio.sleep(0.01)

    def look(self) -> None:
        """Has the instance look now, and not in some seconds."""
        app = self.suite.client.server.app  # type: ignore[attr-defined]
        app[MAILS_DUE].set()

    async def act(self, id_: str, action: str, body: object = None) -> None:
        answer = await self.suite.client.post(
            f"/v1/appointments/{id_}/{action}", json=body or {}, headers=self.suite.patient()
        )
        assert answer.status == 200, await answer.text()


@pytest.fixture
async def clinic(make_suite: MakeSuite) -> Clinic:
    mailer = FakeMailer()
    suite = await make_suite(mailer=mailer, mail="ses")
    suite.users.add_contact("pat", "pat@patients.example", "Europe/Berlin")
    await suite.set_hours()
    return Clinic(suite, mailer)


async def outbox(suite: Suite) -> list[Any]:
    """All that lies in the table's outbox."""
    found = (await suite.dynamodb.scan(TableName=suite.table, ConsistentRead=True))["Items"]
    return [item for item in found if item["user_id"]["S"].startswith("outbox#")]


async def test_each_change_is_told_at_once(clinic: Clinic) -> None:
    made = await clinic.suite.booked("2026-03-04T09:00:00Z")
    await clinic.mails(1)
    await clinic.act(made["id"], "reschedule", {"starts_at": "2026-03-04T10:00:00Z"})
    await clinic.mails(2)
    await clinic.act(made["id"], "cancel")
    told = await clinic.mails(3)
    assert told == [("pat@patients.example", kind) for kind in ("booked", "moved", "cancelled")]
    assert "11:00" in clinic.mailer.sent[1].text  # in Berlin
    await clinic.until_settled()
    sent = {f"{kind} sent": 1 for kind in ("booked", "moved", "cancelled")}
    assert await counts(clinic.suite, "mails_total") == sent


async def test_it_is_reminded_of(clinic: Clinic) -> None:
    await clinic.suite.booked("2026-03-04T09:00:00Z")
    await clinic.mails(1)
    await clinic.until_settled()
    assert len(await outbox(clinic.suite)) == 1
    clinic.suite.advance(days=1, hours=1)
    clinic.look()
    assert (await clinic.mails(2))[1] == ("pat@patients.example", "reminder")
    await clinic.until_settled()


async def test_a_series_is_one_mail_and_so_is_its_end(clinic: Clinic) -> None:
    answer = await clinic.suite.client.post(
        "/v1/appointments/series",
        json={
            "doctor_id": "doc",
            "starts_at": "2026-03-04T09:00:00Z",
            "every_weeks": 1,
            "count": 4,
        },
        headers=clinic.suite.patient(),
    )
    assert answer.status == 201, await answer.text()
    first = (await answer.json())["items"][0]
    await clinic.mails(1)
    assert clinic.mailer.sent[0].subject == "Your 4 appointments are booked"
    await clinic.act(first["id"], "cancel", {"series": "remaining"})
    assert [kind for _, kind in await clinic.mails(2)] == ["booked", "cancelled"]
    assert clinic.mailer.sent[1].subject == "Your 4 appointments were cancelled"


async def test_what_was_refused_or_answered_before_is_told_nobody(clinic: Clinic) -> None:
    await clinic.suite.booked("2026-03-04T09:00:00Z", headers={"Idempotency-Key": "k"})
    await clinic.mails(1)
    again = await clinic.suite.book("2026-03-04T09:00:00Z", headers={"Idempotency-Key": "k"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await clinic.suite.book("2026-03-04T09:00:00Z", patient="eve")).status == 409
    await clinic.until_settled()
    assert len(clinic.mailer.sent) == 1


async def test_mail_costs_a_booking_one_item_and_no_call(make_suite: MakeSuite) -> None:
    off = await make_suite()
    await off.set_hours()
    await off.booked("2026-03-05T09:00:00Z")
    assert await outbox(off) == []
    assert not await counts(off, "mails_total")
    writes = await make_suite(mail="ses", mail_senders=0)
    await writes.set_hours()
    await writes.booked("2026-03-06T09:00:00Z")
    calls = await counts(writes, "store_calls_total")
    assert calls == await counts(off, "store_calls_total")
    assert len(await outbox(off)) == 1


async def test_mail_that_waits_is_seen_and_its_age_grows(clinic: Clinic) -> None:
    clinic.mailer.error = MailUnavailableError("away")
    await clinic.suite.booked("2026-03-04T09:00:00Z")
    while not await counts(clinic.suite, "outbox_pending"):
        clinic.look()
        await asyncio.sleep(0.01)
    clinic.suite.advance(minutes=10)
    assert await counts(clinic.suite, "outbox_oldest_seconds") == {"": 600}


async def test_no_log_tells_of_anybody(clinic: Clinic, capsys: pytest.CaptureFixture[str]) -> None:
    suite = clinic.suite
    suite.users.add_contact("odd", "odd\n@patients.example")
    await suite.booked("2026-03-04T09:00:00Z")
    await suite.booked("2026-03-04T09:30:00Z", patient="odd")
    await suite.booked("2026-03-04T10:00:00Z", patient="nobody")
    await clinic.mails(1)
    await clinic.until_settled()
    assert await counts(suite, "mails_total") == {
        "booked sent": 1, "booked refused": 1, "booked gone": 1,
    }  # fmt: skip
    said = "".join(capsys.readouterr())
    assert "a mail was refused" in said
    assert "patients.example" not in said
    assert "Who" not in said


@pytest.fixture
async def ses_suite(make_suite: MakeSuite, ministack: str) -> Suite:
    async with open_ses(sender=SENDER, region="us-east-1", endpoint=ministack) as mailer:
        await mailer.verify_sender()
    suite: Suite = await make_suite(
        mail="ses", mail_from=SENDER, ses_endpoint=ministack, mail_locale="en_GB"
    )
    return suite


async def test_through_ses(ses_suite: Suite, ministack: str) -> None:
    address = "pat@through-ses.example"
    ses_suite.users.add_contact("pat", address, "Europe/Berlin")
    await ses_suite.set_hours()
    await ses_suite.booked("2026-03-04T09:00:00Z", reason="a private reason")
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{ministack}/_ministack/ses/messages") as answer:
                accounts = json.loads(await answer.read())["messages"]
            sent = [one for mails in accounts.values() for one in mails if one["To"] == [address]]
            if sent:
                break
            await asyncio.sleep(0.02)
    [mail] = sent
    assert mail["Source"] == SENDER
    assert mail["Subject"] == "Your appointment is booked: Wednesday, 4 March 2026"
    assert "10:00 - 10:30 (Central European Standard Time, Europe/Berlin)" in mail["BodyText"]
    assert "private" not in mail["BodyText"]


async def test_an_instance_that_ends_leaves_the_rest_to_others(
    clinic: Clinic, make_suite: MakeSuite
) -> None:
    clinic.mailer.free.clear()
    await clinic.suite.booked("2026-03-04T09:00:00Z")
    await clinic.mailer.reached.wait()
    await clinic.suite.client.close()
    other = FakeMailer()
    suite = await make_suite(mailer=other, mail="ses")
    suite.clock.advance(timedelta(minutes=2))
    successor = Clinic(suite, other)
    successor.look()
    assert await successor.mails(1) == [("pat@patients.example", "booked")]
