"""Schedules and overrides in the table."""

from datetime import date

from appointments_service.domain.schedules import Override, Schedule
from appointments_service.store import ScheduleChangedError
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import REFUSED, OnTable, Patience, unexpected
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.queries import FIRST_DATE, LAST_DATE
from servicekit.aws import classify_codes


class StoredSchedules(OnTable):
    """The part of `AppointmentStore` that keeps hours."""

    async def read_schedule(self, doctor_id: str) -> Schedule | None:
        """The schedule in force, consistently."""
        item = await self._get(items.doctor_partition(doctor_id), items.SCHEDULE_KEY)
        return items.schedule_of(item) if item is not None else None

    async def read_overrides(
        self, doctor_id: str, first: date | None, last: date | None
    ) -> list[Override]:
        """The overrides from `first` to `last`, both included, in order."""
        values = {
            ":u": {"S": items.doctor_partition(doctor_id)},
            ":a": {"S": f"override#{first.isoformat() if first else FIRST_DATE}"},
            ":b": {"S": f"override#{last.isoformat() if last else LAST_DATE}"},
        }
        rows = await self._query_all(
            KeyConditionExpression="user_id = :u AND appointment_id BETWEEN :a AND :b",
            ExpressionAttributeValues=values,
        )
        return [items.override_of(doctor_id, row) for row in rows]

    async def write_schedule(self, schedule: Schedule, former: Schedule | None) -> None:
        """Puts a schedule in force and keeps the former one. Raises ScheduleChangedError."""
        await self._write_schedule(schedule, former, [])

    async def write_override(
        self, schedule: Schedule, former: Schedule, day: date, override: Override | None
    ) -> None:
        """Sets or removes an override together with the schedule's new version."""
        if override is not None:
            action: Item = {
                "Put": {"TableName": self._table, "Item": items.override_item(override)}
            }
        else:
            where = items.key(items.doctor_partition(schedule.doctor_id), items.override_key(day))
            action = {"Delete": {"TableName": self._table, "Key": where}}
        await self._write_schedule(schedule, former, [action])

    async def _write_schedule(
        self, schedule: Schedule, former: Schedule | None, actions: list[Item]
    ) -> None:
        put: Item = {"TableName": self._table, "Item": items.schedule_item(schedule)}
        if former is None:
            put["ConditionExpression"] = "attribute_not_exists(user_id)"
        else:
            put["ConditionExpression"] = "version = :version"
            put["ExpressionAttributeValues"] = {":version": {"N": str(former.version)}}
            if not actions:  # an override leaves the weekly hours as they were
                kept = f"schedule#{items.instant(former.valid_from)}"
                former_item = items.schedule_item(former, kept)
                actions = [{"Put": {"TableName": self._table, "Item": former_item}}]
        patience = Patience(retried=self._retried)
        while True:
            codes = await self._transact([{"Put": put}, *actions], patience)
            if codes is None:
                return
            if codes[0] == REFUSED:
                raise ScheduleChangedError
            await patience.pause(classify_codes(codes), unexpected(codes))
