"""Mail: what SES is given, and an outbox on which no answer depends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from servicekit.aws import classify
from servicekit.calls import CallMetrics, Calls
from servicekit.mail import (
    WAITING,
    Mail,
    MailRefusedError,
    MailUnavailableError,
    Outbox,
    open_outbox,
    opened_late,
)
from servicekit.mail_ses import SESMailer, message_of, open_ses
from servicekit.testing import FakeMailer
from tools.emulator import CREDENTIALS

SENDER = "clinic@clinic.example"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def ses(ministack: str, registry: CollectorRegistry) -> AsyncIterator[SESMailer]:
    calls = Calls(CallMetrics(registry, "store"), "ses", classify=classify)
    async with open_ses(
        sender=SENDER, region="us-east-1", endpoint=ministack, calls=calls
    ) as mailer:
        await mailer.verify_sender()
        yield mailer


async def kept(ministack: str, to: str) -> list[dict[str, Any]]:
    """What the emulator was given for an address."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{ministack}/_ministack/ses/messages") as answer,
    ):
        accounts = (await answer.json())["messages"]
    return [mail for mails in accounts.values() for mail in mails if mail["To"] == [to]]


def mail(to: str, subject: str = "s", text: str = "t") -> Mail:
    return Mail("test", to, subject, text)


async def test_what_was_sent_is_there_in_every_script(ses: SESMailer, ministack: str) -> None:
    subject, text = "Grüße: 予約 ✓", "Zeile eins\nдва\n.\n\nEnde"
    await ses.send(mail("ana@utf8.example", subject, text))
    (sent,) = await kept(ministack, "ana@utf8.example")
    assert (sent["Source"], sent["Subject"], sent["BodyText"]) == (SENDER, subject, text)
    assert not sent["BodyHtml"]
    assert sent["CC"] == sent["BCC"] == []


async def test_a_domain_goes_out_in_ascii(ses: SESMailer, ministack: str) -> None:
    await ses.send(mail("ana@bücher.example"))
    assert len(await kept(ministack, "ana@xn--bcher-kva.example")) == 1


EVENT = "BEGIN:VCALENDAR\r\nMETHOD:PUBLISH\r\nSUMMARY:Grüße\r\nEND:VCALENDAR\r\n".encode()


async def test_a_mail_with_an_event_is_taken_by_ses(ses: SESMailer, ministack: str) -> None:
    subject, text = "Grüße: 予約 ✓", "Zeile eins\nдва\n" + "lang " * 500 + "\n"
    await ses.send(Mail("test", "ana@bücher-raw.example", subject, text, EVENT))
    (sent,) = await kept(ministack, "ana@xn--bcher-raw-q9a.example")
    assert (sent["Source"], sent["Subject"]) == (SENDER, subject)
    assert sent["BodyText"].replace("\r\n", "\n") == text
    assert sent["Type"] == "SendRawEmail"


def test_an_event_goes_along_as_a_file_that_says_its_method() -> None:
    """Read back by the standard library's parser: an emulator keeps no attachment."""
    subject, text = "Grüße " * 30 + "✓", "два\n.\nFrom x\n" + "x" * 3000 + "\n"
    one = Mail("test", "ana@a.example", subject, text, EVENT)
    raw = message_of(one, SENDER, one.to)
    lines = raw.split(b"\r\n")
    assert b"\n" not in b"".join(lines)
    assert max(map(len, lines)) <= 998  # RFC 5322, 2.1.1
    assert raw.isascii()
    message = message_from_bytes(raw, policy=default)
    assert (message["From"], message["To"], message["Subject"]) == (SENDER, one.to, subject)
    plain, event = message.iter_parts()
    assert plain.get_content().replace("\r\n", "\n") == text
    assert event.get_content_type() == "text/calendar"
    assert event.get_param("method") == "PUBLISH"
    assert event.get_filename() == "appointment.ics"
    assert event.get_payload(decode=True) == EVENT


@pytest.mark.parametrize("to", ["nobody", "a,b@list.example"])
async def test_a_bad_address_is_refused_with_an_event_too(ses: SESMailer, to: str) -> None:
    with pytest.raises(MailRefusedError):
        await ses.send(Mail("test", to, "s", "t", EVENT))


@pytest.mark.parametrize(
    "to",
    [
        "a,b@list.example",  # two of them, to a parser of lists
        "a@one.example,b@list.example",
        "Ana<a@one.example>@list.example",
        "<b@list.example>",
        '"a b"@list.example',
        "(a)b@list.example",
        "a;b@list.example",
        "ana.@list.example",
        "äna@list.example",
        "@list.example",
        "nobody",
        f"ana@{'x' * 64}.example",
        "ana@a..example",
    ],
)
async def test_what_is_no_single_plain_address_is_refused_unsent(
    ses: SESMailer, to: str, registry: CollectorRegistry
) -> None:
    with pytest.raises(MailRefusedError) as refused:
        await ses.send(mail(to))
    assert "example" not in str(refused.value)
    sent = {"store": "ses", "operation": "SendEmail", "result": "ok"}
    assert registry.get_sample_value("store_calls_total", sent) is None


@pytest.mark.parametrize("line", ["\r\n", "\n", "\r", "\x00", "\u2028", "\x85"])
def test_nothing_begins_another_header(line: str) -> None:
    with pytest.raises(ValueError):
        mail(f"ana@a.example{line}Bcc: eve@a.example")
    with pytest.raises(ValueError):
        mail("ana@a.example", f"Hello{line}Bcc: eve@a.example")


async def test_refused_by_ses_and_away_are_two_things(
    ses: SESMailer, ministack: str, registry: CollectorRegistry
) -> None:
    async with open_ses(
        sender="eve@stranger.example",
        region="us-east-1",
        endpoint=ministack,
        calls=Calls(CallMetrics(CollectorRegistry(), "store"), "ses", classify=classify),
    ) as stranger:
        with pytest.raises(MailRefusedError, match=r"^MessageRejected$"):
            await stranger.send(mail("ana@a.example"))
    async with open_ses(
        sender=SENDER, region="us-east-1", endpoint="http://127.0.0.1:1"
    ) as unreachable:
        for call in (unreachable.send(mail("ana@a.example")), unreachable.verify_sender()):
            with pytest.raises(MailUnavailableError):
                await call
    await ses.send(mail("ana@counted.example"))
    sent = {"store": "ses", "operation": "SendEmail", "result": "ok"}
    assert registry.get_sample_value("store_calls_total", sent) == 1


Waits = list[float]


@pytest.fixture
def waits() -> Waits:
    return []


@pytest.fixture
def wait(waits: Waits) -> Callable[[float], Awaitable[None]]:
    async def noted(seconds: float) -> None:
        waits.append(seconds)

    return noted


@pytest.mark.parametrize(
    ("error", "tries", "waited", "result"),
    [
        (MailUnavailableError("away"), 3, [1.0, 5.0], "unsent"),
        (MailRefusedError("no"), 1, [], "refused"),
        (RuntimeError("a defect"), 1, [], "unsent"),
    ],
)
async def test_what_may_pass_is_tried_again_and_nothing_stops_the_next(
    error: Exception,
    tries: int,
    waited: Waits,
    result: str,
    waits: Waits,
    wait: Callable[[float], Awaitable[None]],
) -> None:
    mailer, results = FakeMailer(), list[str]()
    async with open_outbox(mailer, wait=wait, ended=results.append) as outbox:
        mailer.error = error
        outbox.post(mail("ana@a.example"))
        await outbox.join()
        assert (mailer.tries, waits) == (tries, waited)
        mailer.error = None
        outbox.post(mail("bob@a.example"))
    assert [one.to for one in mailer.sent] == ["bob@a.example"]
    assert results == [result, "sent"]


async def test_what_was_taken_is_sent_before_the_end() -> None:
    mailer = FakeMailer()
    async with open_outbox(mailer) as outbox:
        for number in range(50):
            outbox.post(mail(f"a{number}@a.example"))
        assert mailer.sent == []
    assert len(mailer.sent) == 50


async def test_a_mailer_that_hangs_holds_up_neither_the_post_nor_the_end() -> None:
    mailer = FakeMailer()
    mailer.free.clear()
    async with open_outbox(mailer, grace=0) as outbox:
        outbox.post(mail("ana@a.example"))
        await mailer.reached.wait()
    assert mailer.sent == []


async def test_a_flood_is_dropped_and_not_kept() -> None:
    mailer, results = FakeMailer(), list[str]()
    outbox = Outbox(mailer, ended=results.append)
    for number in range(WAITING + 1):
        outbox.post(mail(f"a{number}@a.example"))
    assert results == ["unsent"]
    worker = asyncio.create_task(outbox.work())
    await outbox.join()
    worker.cancel()
    assert len(mailer.sent) == WAITING


async def test_where_mail_is_off_nothing_waits() -> None:
    async with open_outbox(None) as outbox:
        outbox.post(mail("ana@a.example"))
        await outbox.join()


async def test_a_mailer_is_opened_once_at_the_first_mail_and_closed_at_the_end() -> None:
    told: list[str] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[FakeMailer]:
        told.append("opened")
        await asyncio.sleep(0)
        if len(told) == 1:
            raise MailUnavailableError("not yet")
        yield mailer
        told.append("closed")

    mailer = FakeMailer()
    async with opened_late(opened) as late:
        assert told == []
        with pytest.raises(MailUnavailableError):
            await late.send(mail("ana@a.example"))
        await asyncio.gather(*(late.send(mail(f"ana{n}@a.example")) for n in range(3)))
        assert told == ["opened", "opened"]
    assert told[2:] == ["closed"]
    assert len(mailer.sent) == 3
