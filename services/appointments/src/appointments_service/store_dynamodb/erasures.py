"""What a closed account leaves in the table, found and taken away."""

from typing import Any

from botocore.exceptions import ClientError

from appointments_service.domain.appointments import ERASED, Appointment
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import OnTable
from appointments_service.store_dynamodb.items import Item
from servicekit.aws import classify

# A line of history is a JSON list that ends with its note: `null]`, or the end of a text.
_END_OF_NOTE = '"]'
_PERSONAL = "patient_name <> :erased OR attribute_exists(reason) OR contains(history, :note)"
_KEY = "user_id, appointment_id"


class Erasures(OnTable):
    """The part of `AppointmentStore` that erases."""

    async def keys_of_patient(self, patient_id: str, after: str, limit: int) -> list[str]:
        """A page of the keys of a patient's appointments, in their order, behind `after`."""
        condition, values = "user_id = :owner", {":owner": {"S": patient_id}}
        if after:
            condition += " AND appointment_id > :after"
            values[":after"] = {"S": after}
        answer = await self._call(
            "query",
            ConsistentRead=True,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ProjectionExpression=_KEY,
            Limit=limit,
        )
        return [item["appointment_id"]["S"] for item in answer["Items"]]

    async def personal_appointments(self, patient_id: str, limit: int) -> list[Appointment]:
        """Some of a patient's appointments that are personal yet, consistently."""
        found = await self._some(
            limit,
            KeyConditionExpression="user_id = :owner",
            FilterExpression=_PERSONAL,
            ExpressionAttributeValues={
                ":owner": {"S": patient_id},
                ":erased": {"S": ERASED},
                ":note": {"S": _END_OF_NOTE},
            },
        )
        return [items.appointment_of(item) for item in found[:limit]]

    async def replace(self, before: Appointment, after: Appointment) -> bool:
        """Replaces an appointment if it is in the version of `before` still."""
        try:
            await self._call(
                "put_item",
                Item=items.appointment_item(after),
                ConditionExpression="version = :version",
                ExpressionAttributeValues={":version": {"N": str(before.version)}},
            )
        except ClientError as error:
            if classify(error) not in ("refused", "conflict"):
                raise
            return False
        return True

    async def forget_answers(self, caller_id: str, limit: int) -> bool:
        """Deletes so many of a caller's stored answers; whether there may be more."""
        found = await self._some(
            limit,
            KeyConditionExpression="user_id = :caller",
            ExpressionAttributeValues={":caller": {"S": items.caller_partition(caller_id)}},
            ProjectionExpression=_KEY,
        )
        await self._delete(found[:limit])
        return len(found) >= limit

    async def forget_answers_about(self, caller_id: str, patient_id: str) -> None:
        """Deletes a caller's stored answers that tell of a patient."""
        found = await self._some(
            None,
            KeyConditionExpression="user_id = :caller",
            FilterExpression="contains(body, :patient)",
            ExpressionAttributeValues={
                ":caller": {"S": items.caller_partition(caller_id)},
                ":patient": {"S": patient_id},
            },
            ProjectionExpression=_KEY,
        )
        await self._delete(found)

    async def _some(self, limit: int | None, **query: Any) -> list[Item]:
        """What a Query finds, until there are `limit` of it; a few more may come along."""
        found: list[Item] = []
        page: dict[str, Any] = {}
        while True:
            answer = await self._call("query", ConsistentRead=True, **query, **page)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer or (limit is not None and len(found) >= limit):
                return found
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def _delete(self, found: list[Item]) -> None:
        for item in found:
            await self._call("delete_item", Key={name: item[name] for name in item})
