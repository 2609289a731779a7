"""How each thing lies in the table: keys, attributes, and the way there and back.

Low-level items, `{"S": …}` and all: the client that takes them costs less than the one that makes
them. What is only ever read whole (claims, history, hours) is one JSON text, not a tree of typed
attributes, for the same reason.
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from appointments_service.domain.appointments import Appointment, Change, Status
from appointments_service.domain.buckets import Claims, buckets_in, date_of, day_number
from appointments_service.domain.schedules import Interval, Override, Schedule
from appointments_service.store import IdempotencyRecord, StoredAnswer

Item = dict[str, Any]

SCHEDULE_KEY = "schedule#current"

_BUCKET_BITS = {str(bucket): 1 << bucket for bucket in range(288)}


def doctor_partition(doctor_id: str) -> str:
    """Where a doctor's calendar, tallies and schedule are."""
    return f"doctor#{doctor_id}"


def patient_partition(patient_id: str) -> str:
    """Where a patient's calendar is. (Its appointments are under the bare id.)"""
    return f"patient#{patient_id}"


def caller_partition(caller_id: str) -> str:
    """Where a caller's idempotency records are."""
    return f"caller#{caller_id}"


@lru_cache(maxsize=4096)
def day_key(day: int) -> str:
    """The sort key of a UTC day's calendar item."""
    return f"day#{date_of(day).isoformat()}"


def key(partition: str, sort: str) -> Item:
    """A primary key."""
    return {"user_id": {"S": partition}, "appointment_id": {"S": sort}}


# Callers look at the same days of the same calendars again and again.
@lru_cache(maxsize=1024)
def day_keys(partition: str, days: tuple[int, ...]) -> tuple[Item, ...]:
    """The primary keys of calendar days, to be read and never changed."""
    return tuple(key(partition, day_key(day)) for day in days)


def day_of(item: Item) -> int:
    """The UTC day of a calendar item."""
    return day_number(date.fromisoformat(item["appointment_id"]["S"][4:]))


class DayState(NamedTuple):
    """The buckets of one calendar day: taken, and taken once more by an override."""

    busy: int
    over: int

    @property
    def taken(self) -> int:
        """All that can't be booked."""
        return self.busy | self.over


def state_of(item: Item) -> DayState:
    """The buckets of a calendar item."""
    return DayState(_mask(item, "busy"), _mask(item, "over"))


def _mask(item: Item, attribute: str) -> int:
    mask = 0
    if attribute in item:
        for bucket in item[attribute]["NS"]:
            mask |= _BUCKET_BITS[bucket]
    return mask


@cache
def bucket_text(bucket: int) -> str:
    """A bucket's number as DynamoDB takes it."""
    return str(bucket)


def number_set(mask: int) -> Item:
    """A mask as a number set; it must not be empty."""
    return {"NS": [bucket_text(bucket) for bucket in buckets_in(mask)]}


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC, sortable as text where the fractions agree."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def readable_claims(claims: Claims) -> dict[str, list[int]]:
    """Claims as they lie in a JSON text: the buckets of each UTC day."""
    return {date_of(day).isoformat(): list(buckets_in(mask)) for day, mask in claims.items()}


def _claims_json(doctor: Claims, patient: Claims) -> str:
    return json.dumps({"doctor": readable_claims(doctor), "patient": readable_claims(patient)})


def claims_of_readable(listed: Mapping[str, list[int]]) -> Claims:
    """Claims from a JSON text."""
    return {
        day_number(date.fromisoformat(day)): sum(1 << bucket for bucket in buckets)
        for day, buckets in listed.items()
    }


def appointment_item(appointment: Appointment) -> Item:
    """An appointment as an item. Only these carry `starts_at` and `doctor_id`, the index keys."""
    item: Item = {
        "user_id": {"S": appointment.patient_id},
        "appointment_id": {"S": appointment.key},
        "patient_name": {"S": appointment.patient_name},
        "doctor_id": {"S": appointment.doctor_id},
        "doctor_name": {"S": appointment.doctor_name},
        "starts_at": {"S": instant(appointment.starts_at)},
        "ends_at": {"S": instant(appointment.ends_at)},
        "timezone": {"S": appointment.timezone},
        "status": {"S": appointment.status.value},
        "version": {"N": str(appointment.version)},
        "created_at": {"S": instant(appointment.created_at)},
        "updated_at": {"S": instant(appointment.updated_at)},
        "override": {"BOOL": appointment.override},
        "claims": {"S": _claims_json(appointment.doctor_claims, appointment.patient_claims)},
        "history": {"S": json.dumps([_change_row(change) for change in appointment.history])},
    }
    if appointment.reason is not None:
        item["reason"] = {"S": appointment.reason}
    if appointment.cancelled_by is not None:
        item["cancelled_by"] = {"S": appointment.cancelled_by}
    if appointment.series_id is not None:
        item["series_id"] = {"S": appointment.series_id}
    return item


def _change_row(change: Change) -> list[str | None]:
    return [
        instant(change.at),
        change.actor_id,
        change.actor_role,
        change.from_status,
        change.to_status,
        instant(change.starts_at),
        change.note,
    ]


def _change(row: list[Any]) -> Change:
    at, actor_id, actor_role, from_status, to_status, starts_at, note = row
    return Change(
        at=_moment(at),
        actor_id=actor_id,
        actor_role=actor_role,
        from_status=Status(from_status) if from_status is not None else None,
        to_status=Status(to_status),
        starts_at=_moment(starts_at),
        note=note,
    )


def appointment_of(item: Item) -> Appointment:
    """An item as an appointment."""
    claims = json.loads(item["claims"]["S"])
    return Appointment(
        key=item["appointment_id"]["S"],
        patient_id=item["user_id"]["S"],
        patient_name=item["patient_name"]["S"],
        doctor_id=item["doctor_id"]["S"],
        doctor_name=item["doctor_name"]["S"],
        starts_at=_moment(item["starts_at"]["S"]),
        ends_at=_moment(item["ends_at"]["S"]),
        timezone=item["timezone"]["S"],
        status=Status(item["status"]["S"]),
        reason=item["reason"]["S"] if "reason" in item else None,
        version=int(item["version"]["N"]),
        created_at=_moment(item["created_at"]["S"]),
        updated_at=_moment(item["updated_at"]["S"]),
        cancelled_by=item["cancelled_by"]["S"] if "cancelled_by" in item else None,
        override=item["override"]["BOOL"],
        series_id=item["series_id"]["S"] if "series_id" in item else None,
        doctor_claims=claims_of_readable(claims["doctor"]),
        patient_claims=claims_of_readable(claims["patient"]),
        history=tuple(_change(row) for row in json.loads(item["history"]["S"])),
    )


def _hours_json(hours: tuple[Interval, ...]) -> list[list[int]]:
    return [[interval.start, interval.end] for interval in hours]


def _hours(listed: list[list[int]]) -> tuple[Interval, ...]:
    return tuple(Interval(start, end) for start, end in listed)


def schedule_item(schedule: Schedule, sort: str = SCHEDULE_KEY) -> Item:
    """A schedule as an item, under the current one's key or a former one's."""
    weekly = {day: _hours_json(hours) for day, hours in schedule.weekly.items()}
    return {
        **key(doctor_partition(schedule.doctor_id), sort),
        "doctor": {"S": schedule.doctor_id},
        "timezone": {"S": schedule.timezone},
        "weekly": {"S": json.dumps(weekly)},
        "slot_minutes": {"N": str(schedule.slot_minutes)},
        "buffer_before_minutes": {"N": str(schedule.buffer_before_minutes)},
        "buffer_after_minutes": {"N": str(schedule.buffer_after_minutes)},
        "min_notice_minutes": {"N": str(schedule.min_notice_minutes)},
        "horizon_days": {"N": str(schedule.horizon_days)},
        "version": {"N": str(schedule.version)},
        "valid_from": {"S": instant(schedule.valid_from)},
    }


def schedule_of(item: Item) -> Schedule:
    """An item as a schedule."""
    return _schedule(*[item[name][kind] for name, kind in _SCHEDULE_ATTRIBUTES])


_SCHEDULE_ATTRIBUTES = (
    ("doctor", "S"),
    ("timezone", "S"),
    ("weekly", "S"),
    ("slot_minutes", "N"),
    ("buffer_before_minutes", "N"),
    ("buffer_after_minutes", "N"),
    ("min_notice_minutes", "N"),
    ("horizon_days", "N"),
    ("version", "N"),
    ("valid_from", "S"),
)


# The same schedule is read with every search, and seldom is it another.
@lru_cache(maxsize=2048)
def _schedule(doctor: str, zone: str, weekly: str, *numbers_and_valid_from: str) -> Schedule:
    *numbers, valid_from = numbers_and_valid_from
    slot, before, after, notice, horizon, version = map(int, numbers)
    return Schedule(
        doctor_id=doctor,
        timezone=zone,
        weekly={day: _hours(listed) for day, listed in json.loads(weekly).items()},
        slot_minutes=slot,
        buffer_before_minutes=before,
        buffer_after_minutes=after,
        min_notice_minutes=notice,
        horizon_days=horizon,
        version=version,
        valid_from=_moment(valid_from),
    )


def override_key(day: date) -> str:
    """The sort key of a date's override."""
    return f"override#{day.isoformat()}"


def override_item(override: Override) -> Item:
    """An override as an item."""
    return {
        **key(doctor_partition(override.doctor_id), override_key(override.date)),
        "hours": {"S": json.dumps(_hours_json(override.hours))},
        "version": {"N": str(override.version)},
    }


def override_of(doctor_id: str, item: Item) -> Override:
    """An item as an override."""
    return Override(
        doctor_id=doctor_id,
        date=date.fromisoformat(item["appointment_id"]["S"].removeprefix("override#")),
        hours=_hours(json.loads(item["hours"]["S"])),
        version=int(item["version"]["N"]),
    )


def record_item(record: IdempotencyRecord) -> Item:
    """A stored answer as an item. `ttl` is for the table to clean up by, late as it may be."""
    expires = int(record.expires_at.timestamp())
    item: Item = {
        **key(caller_partition(record.caller_id), f"key#{record.key}"),
        "request_hash": {"S": record.answer.request_hash},
        "answer_status": {"N": str(record.answer.status)},
        "body": {"S": record.answer.body.decode()},
        "expires_at": {"N": str(expires)},
        "ttl": {"N": str(expires)},
    }
    if record.answer.version is not None:
        item["answer_version"] = {"N": str(record.answer.version)}
    return item


def answer_of(item: Item) -> StoredAnswer:
    """An item as a stored answer."""
    return StoredAnswer(
        status=int(item["answer_status"]["N"]),
        body=item["body"]["S"].encode(),
        version=int(item["answer_version"]["N"]) if "answer_version" in item else None,
        request_hash=item["request_hash"]["S"],
    )
