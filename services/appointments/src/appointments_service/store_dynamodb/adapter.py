"""The adapter: what the port asks for, in DynamoDB's calls, each part in a file of its own."""

from appointments_service.store_dynamodb.audits import Audits
from appointments_service.store_dynamodb.erasures import Erasures
from appointments_service.store_dynamodb.feeds import Feeds
from appointments_service.store_dynamodb.outbox import StoredOutbox
from appointments_service.store_dynamodb.schedules import StoredSchedules
from appointments_service.store_dynamodb.searching import ManyCalendars
from appointments_service.store_dynamodb.waitlist import Waitlists
from appointments_service.store_dynamodb.writing import Writing


class DynamoDBStore(
    StoredSchedules, ManyCalendars, Writing, Waitlists, Erasures, Feeds, StoredOutbox, Audits
):
    """`AppointmentStore` and `OutboxStore` on one table."""

    async def ping(self) -> None:
        """Raises if the table can't be reached."""
        await self._client.describe_table(TableName=self._table)
