"""Leases: what only one instance at a time does. They keep others from useless work; what must
not be done twice is guarded in its own writes, by `lease_check` or otherwise.
"""

from datetime import datetime

from botocore.exceptions import ClientError

from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import OnTable
from appointments_service.store_dynamodb.items import Item
from servicekit.aws import classify

_LEASES = "leases#"


class Leases(OnTable):
    """The part of `AppointmentStore` that lends and takes back."""

    async def take_lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """See AuditStore."""
        free = "attribute_not_exists(user_id) OR held_by = :holder OR held_until <= :now"
        return await self._held(name, holder, until, free, {":now": {"N": _seconds(now)}})

    async def leave_lease(self, name: str, holder: str, until: datetime) -> None:
        """See AuditStore."""
        await self._held(name, "nobody", until, "held_by = :me", {":me": {"S": holder}})

    async def _held(
        self, name: str, holder: str, until: datetime, condition: str, values: Item
    ) -> bool:
        try:
            await self._call(
                "update_item",
                Key=items.key(_LEASES, name),
                UpdateExpression="SET held_by = :holder, held_until = :until",
                ConditionExpression=condition,
                ExpressionAttributeValues={
                    ":holder": {"S": holder},
                    ":until": {"N": _seconds(until)},
                    **values,
                },
            )
        except ClientError as error:
            if classify(error) not in ("refused", "conflict"):
                raise
            return False
        return True


def lease_check(table: str, name: str, holder: str) -> Item:
    """An action of a transaction: it is refused unless the lease is still this holder's."""
    check: Item = {
        "TableName": table,
        "Key": items.key(_LEASES, name),
        "ConditionExpression": "held_by = :holder",
        "ExpressionAttributeValues": {":holder": {"S": holder}},
    }
    return {"ConditionCheck": check}


def _seconds(moment: datetime) -> str:
    return str(moment.timestamp())
