"""Many calendars at once, in batches of keys."""

from collections.abc import Mapping, Sequence
from datetime import date

from appointments_service.domain.schedules import Override, Schedule
from appointments_service.store import CalendarView
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import OnTable


class ManyCalendars(OnTable):
    """The part of `AppointmentStore` that searches."""

    async def read_calendars(
        self, days: Mapping[str, Sequence[int]], patient_id: str | None, patient_days: Sequence[int]
    ) -> Mapping[str, CalendarView]:
        """The schedules and what is busy, by doctor. A BatchGetItem for each 100 keys."""
        owners = {items.doctor_partition(doctor_id): doctor_id for doctor_id in days}
        keys = []
        for partition, doctor_id in owners.items():
            keys.append(items.key(partition, items.SCHEDULE_KEY))
            keys += [items.key(partition, items.day_key(day)) for day in days[doctor_id]]
        if patient_id is not None:
            keys += items.day_keys(items.patient_partition(patient_id), tuple(patient_days))
        schedules: dict[str, Schedule] = {}
        busy: dict[str, dict[int, int]] = {doctor_id: {} for doctor_id in days}
        patient_busy: dict[int, int] = {}
        for item in await self._get_many(keys):
            doctor_id = owners.get(item["user_id"]["S"], "")
            if item["appointment_id"]["S"] == items.SCHEDULE_KEY:
                schedules[doctor_id] = items.schedule_of(item)
            else:
                of_whom = busy.get(doctor_id, patient_busy)
                of_whom[items.day_of(item)] = items.state_of(item).taken
        return {
            doctor_id: CalendarView(schedules.get(doctor_id), busy[doctor_id], patient_busy)
            for doctor_id in days
        }

    async def read_overrides_on(self, dates: Mapping[str, Sequence[date]]) -> list[Override]:
        """The overrides that doctors have on dates. A BatchGetItem for each 100 dates."""
        owners = {items.doctor_partition(doctor_id): doctor_id for doctor_id in dates}
        keys = [
            items.key(partition, items.override_key(day))
            for partition, doctor_id in owners.items()
            for day in dates[doctor_id]
        ]
        found = await self._get_many(keys)
        return [items.override_of(owners[item["user_id"]["S"]], item) for item in found]
