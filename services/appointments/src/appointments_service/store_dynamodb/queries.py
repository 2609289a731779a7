"""The Query of a list of appointments: its conditions, its filters, and where it goes on."""

from datetime import datetime
from typing import Any

from appointments_service.errors import BadPositionError
from appointments_service.store import Position, Selection
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.items import Item
from appointments_service.store_dynamodb.table import BY_DOCTOR, BY_START

# Items of a list that are looked at in one call where most may be left out: some hundred KB.
FILTERED_READ = 500
FIRST_DATE, LAST_DATE = "0001-01-01", "9999-12-31"


def selection_query(selection: Selection) -> dict[str, Any] | None:
    """The Query of a selection by patient or by doctor; None where nothing can be in its span."""
    values: Item = {}
    filters: list[str] = []
    names: dict[str, str] = {}
    if selection.patient_id is not None:
        query: dict[str, Any] = {"IndexName": BY_START, "ConsistentRead": True}
        condition = "user_id = :owner"
        values[":owner"] = {"S": selection.patient_id}
        if selection.doctor_id is not None:
            filters.append("doctor_id = :doctor")
            values[":doctor"] = {"S": selection.doctor_id}
    elif selection.doctor_id is not None:
        query = {"IndexName": BY_DOCTOR}
        condition = "doctor_id = :owner"
        values[":owner"] = {"S": selection.doctor_id}
    else:
        raise ValueError("a selection names a patient or a doctor")
    span = _span(selection)
    if span is not None:
        if span[0] > span[1]:
            return None
        condition += " AND starts_at BETWEEN :since AND :until"
        values |= {":since": {"S": span[0]}, ":until": {"S": span[1]}}
    if selection.status is not None:
        filters.append("#status = :status")
        names["#status"] = "status"
        values[":status"] = {"S": selection.status.value}
    query |= {"KeyConditionExpression": condition, "ExpressionAttributeValues": values}
    if filters:
        query["FilterExpression"] = " AND ".join(filters)
    if names:
        query["ExpressionAttributeNames"] = names
    return query


def _span(selection: Selection) -> tuple[str, str] | None:
    """The first and the last start, as text, both included.

    Starts are whole seconds, so what lies behind one comes before the next: `…:00` and `…:00Z~`
    are bounds that need no calendar, which ends with the year 9999.
    """
    if selection.since is None and selection.until is None:
        return None
    since, until = FIRST_DATE, LAST_DATE + "~"
    if selection.since is not None:
        since = _second(selection.since) + ("~" if selection.since.microsecond else "")
    if selection.until is not None:
        until = _second(selection.until)
        if not selection.until.microsecond:
            until = until.removesuffix("Z")
    return since, until


def _second(moment: datetime) -> str:
    return items.instant(moment.replace(microsecond=0))


def start_key(selection: Selection, after: Position) -> Item:
    """Where a Query goes on.

    Raises:
        BadPositionError: no page of this selection ended there. Whoever knows how a cursor is made
            can make one, and DynamoDB refuses a start outside of what is asked for.
    """
    starts_at, user_id, appointment_id = after
    span = _span(selection)
    if (selection.patient_id not in (None, user_id)) or (
        span is not None and not span[0] <= starts_at <= span[1]
    ):
        raise BadPositionError("no page of this list ends there")
    start = {**items.key(user_id, appointment_id), "starts_at": {"S": starts_at}}
    if selection.patient_id is None and selection.doctor_id is not None:
        start["doctor_id"] = {"S": selection.doctor_id}
    return start
