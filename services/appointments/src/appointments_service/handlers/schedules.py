"""Hours, what overrides them, and what is open."""

from datetime import date

from aiohttp import web

from appointments_service import schemas
from appointments_service.errors import InvalidFieldError
from appointments_service.handlers.common import (
    CLOCK,
    SCHEDULES,
    actor_of,
    patient_id_of,
    position_of,
)
from appointments_service.service.schedules import DETAILS
from appointments_service.slot_texts import encode_slots
from servicekit.operations import Call, answer, etag, no_content
from servicekit.paging import decode_cursor, encode_cursor
from servicekit.wire import NoQuery, Nothing, parse_date


def _date(call: Call[schemas.NewOverride, NoQuery] | Call[Nothing, NoQuery]) -> date:
    try:
        return parse_date(call.path["date"])
    except ValueError as error:
        raise InvalidFieldError(("path", "date"), str(error)) from None


async def put_schedule(call: Call[schemas.NewSchedule, NoQuery]) -> web.Response:
    """Sets a doctor's hours."""
    doctor_id = call.path["doctor_id"]
    if call.body.doctor_id not in (None, doctor_id):
        raise InvalidFieldError(("body", "doctor_id"), "is another's than the path's")
    wanted = call.body.to_domain(doctor_id, call.request.app[CLOCK]())
    service = call.request.app[SCHEDULES]
    schedule = await service.set_schedule(actor_of(call.caller), wanted, call.if_match)
    return answer(schemas.Schedule.of(schedule), headers=etag(schedule.version))


async def get_schedule(call: Call[Nothing, NoQuery]) -> web.Response:
    """A doctor's hours."""
    schedule = await call.request.app[SCHEDULES].schedule(call.path["doctor_id"])
    return answer(schemas.Schedule.of(schedule), headers=etag(schedule.version))


async def put_override(call: Call[schemas.NewOverride, NoQuery]) -> web.Response:
    """Sets the hours of one date."""
    override = await call.request.app[SCHEDULES].set_override(
        actor_of(call.caller),
        call.path["doctor_id"],
        _date(call),
        call.body.to_domain(),
        call.if_match,
    )
    return answer(schemas.Override.of(override), headers=etag(override.version))


async def delete_override(call: Call[Nothing, NoQuery]) -> web.Response:
    """Puts the weekly hours in force again on one date."""
    service = call.request.app[SCHEDULES]
    await service.remove_override(
        actor_of(call.caller), call.path["doctor_id"], _date(call), call.if_match
    )
    return no_content()


async def list_overrides(call: Call[Nothing, schemas.OverrideFilter]) -> web.Response:
    """A doctor's overrides."""
    query = call.query
    doctor_id = call.path["doctor_id"]
    listed = await call.request.app[SCHEDULES].overrides(doctor_id, query.from_, query.to)
    name = f"overrides:{doctor_id}:{query.from_}:{query.to}"
    after = position_of(decode_cursor(name, query.cursor), 1)
    remaining = [one for one in listed if after is None or [one.date.isoformat()] > after]
    page = remaining[: query.limit]
    more = len(remaining) > query.limit
    return answer(
        schemas.OverrideList(
            items=[schemas.Override.of(one) for one in page],
            next_cursor=encode_cursor(name, [page[-1].date.isoformat()]) if more else None,
        )
    )


async def list_slots(call: Call[Nothing, schemas.DateRange]) -> web.Response:
    """What can be booked now."""
    schedule, days = await call.request.app[SCHEDULES].open_days(
        call.path["doctor_id"], call.query.from_, call.query.to, patient_id_of(call.caller_or_none)
    )
    body = encode_slots(schedule, days)
    return web.Response(body=body, content_type="application/json", charset="utf-8")


async def explain(call: Call[Nothing, schemas.ExplainQuery]) -> web.Response:
    """Why a time can't be booked, if so."""
    code = await call.request.app[SCHEDULES].explain(
        call.path["doctor_id"], call.query.starts_at, patient_id_of(call.caller_or_none)
    )
    detail = DETAILS[code] if code is not None else "the time can be booked"
    return answer(schemas.Explanation(bookable=code is None, code=code, detail=detail))
