"""Mail through Amazon SES.

Its first API and not its second, which sends no better: LocalStack without an account has only
this one. Mails of text alone are composed by SES from their parts. What has an event attached is
composed here, by the standard library, for that API takes attachments no other way.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from servicekit.aws import open_client
from servicekit.calls import Calls
from servicekit.mail import Mail, MailRefusedError, MailUnavailableError

# What SES says of an address, or of one that it may not send to. All else may pass.
_REFUSALS: Final = frozenset({"InvalidParameterValue", "MessageRejected", "ValidationError"})

# RFC 5322's dot-atom. Anything else would need quotes, or be read as several addresses or a name.
_is_local_part = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*\Z", re.ASCII)


class SESMailer:
    """Implements Mailer.

    Args:
        client: a low-level client for `ses`, open.
        sender: an address that SES knows as ours.
    """

    def __init__(self, client: Any, sender: str) -> None:
        self._client = client
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        """Returns when SES took it. Raises MailRefusedError, MailUnavailableError."""
        to = _wire_address(mail.to)
        try:
            await (self._send_text(mail, to) if mail.event is None else self._send_raw(mail, to))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            # The error's own text names addresses, and what is raised here is logged.
            if code in _REFUSALS:
                raise MailRefusedError(code) from None
            raise MailUnavailableError(code) from None
        except (BotoCoreError, OSError) as error:
            raise MailUnavailableError(type(error).__name__) from error

    async def _send_text(self, mail: Mail, to: str) -> None:
        message = {
            "Subject": {"Data": mail.subject, "Charset": "UTF-8"},
            "Body": {"Text": {"Data": mail.text, "Charset": "UTF-8"}},
        }
        destination = {"ToAddresses": [to]}
        await self._client.send_email(Source=self._sender, Destination=destination, Message=message)

    async def _send_raw(self, mail: Mail, to: str) -> None:
        # The destinations are said beside the message: SES reads none out of its headers then.
        await self._client.send_raw_email(
            Source=self._sender,
            Destinations=[to],
            RawMessage={"Data": message_of(mail, self._sender, to)},
        )

    async def verify_sender(self) -> None:
        """Asks SES to take the sender for ours; it mails the address a link. An emulator just does.

        Raises:
            MailUnavailableError
        """
        try:
            await self._client.verify_email_identity(EmailAddress=self._sender)
        except (ClientError, BotoCoreError, OSError) as error:
            raise MailUnavailableError(f"the sender: {type(error).__name__}") from error


@asynccontextmanager
async def open_ses(
    *, sender: str, region: str, endpoint: str | None = None, calls: Calls | None = None
) -> AsyncIterator[SESMailer]:
    """A mailer whose connections live until the end of the context.

    Args:
        endpoint: of an emulator; None for AWS itself.
        calls: how its calls are counted.
    """
    async with open_client(
        "ses", endpoint=endpoint, region=region, calls=calls, connections=10
    ) as client:
        yield SESMailer(client, sender)


def message_of(mail: Mail, sender: str, to: str) -> bytes:
    """A mail with its event as a message (RFC 5322, RFC 2045): CRLF, lines that any server takes.

    SES adds the date and the message's id.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = to
    message["Subject"] = mail.subject
    message.set_content(mail.text)
    if mail.event is not None:
        # The method is said here too (RFC 6047, 2.4): programs decide by it what they offer.
        message.add_attachment(
            mail.event,
            maintype="text",
            subtype="calendar",
            filename="appointment.ics",
            params={"charset": "utf-8", "method": "PUBLISH"},
        )
    return message.as_bytes()


def _wire_address(address: str) -> str:
    """The address in ASCII, as SES takes it: its domain in Punycode. Raises MailRefusedError."""
    local, _, domain = address.rpartition("@")
    if not _is_local_part.match(local):
        raise MailRefusedError("the address has a local part that SES doesn't take")
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError as error:
        raise MailRefusedError("the address has a domain that no name server knows") from error
