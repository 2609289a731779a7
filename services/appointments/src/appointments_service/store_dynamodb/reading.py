"""What is asked of calendars, appointments and stored answers."""

from collections.abc import Sequence
from datetime import datetime

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.schedules import Schedule
from appointments_service.store import CalendarView, Position, Selection, StoredAnswer
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import OnTable
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.queries import FILTERED_READ, selection_query, start_key
from appointments_service.store_dynamodb.table import BY_START


class Reading(OnTable):
    """The part of `AppointmentStore` that reads."""

    async def read_calendar(
        self,
        doctor_id: str,
        doctor_days: Sequence[int],
        patient_id: str | None,
        patient_days: Sequence[int],
    ) -> CalendarView:
        """The schedule and what is busy on the given UTC days.

        One BatchGetItem for up to 100 keys: the schedule's version comes in the same call as the
        days, so that what is offered is never computed from hours that are no longer in force.
        """
        doctor = items.doctor_partition(doctor_id)
        keys = [items.key(doctor, items.SCHEDULE_KEY)]
        keys += items.day_keys(doctor, tuple(doctor_days))
        if patient_id is not None:
            patient = items.patient_partition(patient_id)
            keys += items.day_keys(patient, tuple(patient_days))
        schedule: Schedule | None = None
        doctor_busy: dict[int, int] = {}
        patient_busy: dict[int, int] = {}
        for item in await self._get_many(keys):
            if item["appointment_id"]["S"] == items.SCHEDULE_KEY:
                schedule = items.schedule_of(item)
            elif item["user_id"]["S"] == doctor:
                doctor_busy[items.day_of(item)] = items.state_of(item).taken
            else:
                patient_busy[items.day_of(item)] = items.state_of(item).taken
        return CalendarView(schedule, doctor_busy, patient_busy)

    async def read_appointment(self, patient_id: str, key: str) -> Appointment | None:
        """One appointment, consistently."""
        item = await self._get(patient_id, key)
        return items.appointment_of(item) if item is not None and "doctor_id" in item else None

    async def read_series(
        self, patient_id: str, series_id: str, since: datetime
    ) -> list[Appointment]:
        """The appointments of a series that start from `since` on, consistently, in order."""
        found = await self._query_all(
            IndexName=BY_START,
            KeyConditionExpression="user_id = :owner AND starts_at >= :since",
            FilterExpression="series_id = :series",
            ExpressionAttributeValues={
                ":owner": {"S": patient_id},
                ":since": {"S": items.instant(since)},
                ":series": {"S": series_id},
            },
        )
        return [items.appointment_of(item) for item in found]

    async def read_answer(self, caller_id: str, key: str, now: datetime) -> StoredAnswer | None:
        """The answer stored under an idempotency key, if it is still good."""
        item = await self._get(items.caller_partition(caller_id), f"key#{key}")
        if item is None or int(item["expires_at"]["N"]) <= int(now.timestamp()):
            return None
        return items.answer_of(item)

    async def list_appointments(
        self, selection: Selection, limit: int, after: Position | None
    ) -> tuple[list[Appointment], Position | None]:
        """A page by start, and the position to go on from, if there is more.

        A patient's list is read consistently; a doctor's comes from a global index and may lag
        by moments.
        """
        query = selection_query(selection)
        if query is None:
            return [], None
        found: list[Item] = []
        start = start_key(selection, after) if after is not None else None
        # One more than wanted tells whether there is a next page. A limit counts what is looked at,
        # before the filter: with one, a page's worth a call could take hundreds of calls.
        read = max(limit + 1, FILTERED_READ) if "FilterExpression" in query else limit + 1
        while True:
            page = {"ExclusiveStartKey": start} if start is not None else {}
            answer = await self._call("query", **query, **page, Limit=read)
            found += answer["Items"]
            start = answer.get("LastEvaluatedKey")
            if start is None or len(found) > limit:
                break
        listed = [items.appointment_of(item) for item in found[:limit]]
        if len(found) <= limit:
            return listed, None
        last = found[limit - 1]
        return listed, tuple(last[name]["S"] for name in ("starts_at", "user_id", "appointment_id"))
