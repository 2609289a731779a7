"""parse → call the use case → answer."""

import hashlib
from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from aiohttp import web

from appointments_service import schemas
from appointments_service.domain import appointments
from appointments_service.domain.appointments import Actor, Status
from appointments_service.errors import BadPositionError, InvalidFieldError
from appointments_service.service.bookings import Bookings, Done, Idempotency
from appointments_service.service.erasing import Erasing
from appointments_service.service.schedules import DETAILS, Schedules
from appointments_service.slot_texts import encode_slots
from appointments_service.store import Selection
from servicekit.audit import audit_read
from servicekit.auth import Caller
from servicekit.operations import Call, answer, etag, no_content
from servicekit.paging import Paged, decode_cursor, encode_cursor
from servicekit.wire import NoQuery, Nothing, parse_date

BOOKINGS = web.AppKey("bookings", Bookings)
SCHEDULES = web.AppKey("schedules", Schedules)
ERASING = web.AppKey("erasing", Erasing)
CLOCK = web.AppKey[Callable[[], datetime]]("clock")
CLINIC = web.AppKey("clinic", ZoneInfo)


def _actor(caller: Caller) -> Actor:
    return Actor(caller.id, caller.role, caller.name)


def _patient_id(caller: Caller | None) -> str | None:
    return caller.id if caller is not None and caller.role == "patient" else None


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
    schedule = await service.set_schedule(_actor(call.caller), wanted, call.if_match)
    return answer(schemas.Schedule.of(schedule), headers=etag(schedule.version))


async def get_schedule(call: Call[Nothing, NoQuery]) -> web.Response:
    """A doctor's hours."""
    schedule = await call.request.app[SCHEDULES].schedule(call.path["doctor_id"])
    return answer(schemas.Schedule.of(schedule), headers=etag(schedule.version))


async def put_override(call: Call[schemas.NewOverride, NoQuery]) -> web.Response:
    """Sets the hours of one date."""
    override = await call.request.app[SCHEDULES].set_override(
        _actor(call.caller),
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
        _actor(call.caller), call.path["doctor_id"], _date(call), call.if_match
    )
    return no_content()


async def list_overrides(call: Call[Nothing, schemas.OverrideFilter]) -> web.Response:
    """A doctor's overrides."""
    query = call.query
    doctor_id = call.path["doctor_id"]
    listed = await call.request.app[SCHEDULES].overrides(doctor_id, query.from_, query.to)
    name = f"overrides:{doctor_id}:{query.from_}:{query.to}"
    after = _position(decode_cursor(name, query.cursor), 1)
    remaining = [one for one in listed if after is None or [one.date.isoformat()] > after]
    page = remaining[: query.limit]
    more = len(remaining) > query.limit
    return answer(
        schemas.OverrideList(
            items=[schemas.Override.of(one) for one in page],
            next_cursor=encode_cursor(name, [page[-1].date.isoformat()]) if more else None,
        )
    )


def _position(decoded: object, parts: int) -> list[str] | None:
    """A cursor's position: so many texts. Whoever reads our code can make one of anything else."""
    if decoded is None:
        return None
    if not isinstance(decoded, list) or len(decoded) != parts or not all(map(_is_text, decoded)):
        raise BadPositionError("no page of this list ends there")
    return decoded


def _is_text(part: object) -> bool:
    return isinstance(part, str) and part != ""


async def list_slots(call: Call[Nothing, schemas.DateRange]) -> web.Response:
    """What can be booked now."""
    schedule, days = await call.request.app[SCHEDULES].open_days(
        call.path["doctor_id"], call.query.from_, call.query.to, _patient_id(call.caller_or_none)
    )
    body = encode_slots(schedule, days)
    return web.Response(body=body, content_type="application/json", charset="utf-8")


async def explain(call: Call[Nothing, schemas.ExplainQuery]) -> web.Response:
    """Why a time can't be booked, if so."""
    code = await call.request.app[SCHEDULES].explain(
        call.path["doctor_id"], call.query.starts_at, _patient_id(call.caller_or_none)
    )
    detail = DETAILS[code] if code is not None else "the time can be booked"
    return answer(schemas.Explanation(bookable=code is None, code=code, detail=detail))


async def book(call: Call[schemas.NewAppointment, NoQuery]) -> web.Response:
    """Books a time."""
    body = call.body
    if call.caller.role != "patient" and body.patient_id is None:
        raise InvalidFieldError(("body", "patient_id"), "name the patient")
    done = await call.request.app[BOOKINGS].book(
        _actor(call.caller),
        doctor_id=body.doctor_id,
        patient_id=body.patient_id,
        starts_at=body.starts_at,
        reason=body.reason,
        idempotency=_idempotency(call, 201),
    )
    return _done(done, 201)


async def reschedule(call: Call[schemas.Reschedule, NoQuery]) -> web.Response:
    """Moves an appointment."""
    done = await call.request.app[BOOKINGS].move(
        _actor(call.caller),
        call.path["id"],
        call.body.starts_at,
        call.if_match,
        _idempotency(call, 200),
    )
    return _done(done, 200)


async def list_appointments(call: Call[Nothing, schemas.AppointmentFilter]) -> web.Response:
    """Appointments by start."""
    query, caller = call.query, call.caller
    clinic = call.request.app[CLINIC]
    selection = Selection(
        patient_id=query.patient_id,
        doctor_id=query.doctor_id,
        status=query.status,
        since=query.since(clinic),
        until=query.until(clinic),
    )
    name = f"appointments:{caller.role}:{caller.id}:{selection}"
    found, position = await call.request.app[BOOKINGS].appointments(
        _actor(caller), selection, query.limit, _position(decode_cursor(name, query.cursor), 3)
    )
    audit_read(call, [one.patient_id for one in found])
    return answer(
        schemas.AppointmentList(
            items=[schemas.Appointment.of(one) for one in found],
            next_cursor=encode_cursor(name, position) if position is not None else None,
        )
    )


async def get_appointment(call: Call[Nothing, NoQuery]) -> web.Response:
    """One appointment."""
    found = await call.request.app[BOOKINGS].appointment(_actor(call.caller), call.path["id"])
    audit_read(call, [found.patient_id])
    return _appointment(found, 200)


async def get_history(call: Call[Nothing, NoQuery]) -> web.Response:
    """All that happened to an appointment."""
    found = await call.request.app[BOOKINGS].appointment(_actor(call.caller), call.path["id"])
    audit_read(call, [found.patient_id])
    return answer(schemas.History.of(found))


async def cancel(call: Call[schemas.Cancellation, NoQuery]) -> web.Response:
    """Gives the time back."""
    changed = await call.request.app[BOOKINGS].change_status(
        _actor(call.caller), call.path["id"], Status.CANCELLED, call.if_match, call.body.reason
    )
    return _appointment(changed, 200)


async def check_in(call: Call[Nothing, NoQuery]) -> web.Response:
    """The patient is there."""
    return await _change(call, Status.CHECKED_IN)


async def complete(call: Call[Nothing, NoQuery]) -> web.Response:
    """The appointment has taken place."""
    return await _change(call, Status.COMPLETED)


async def no_show(call: Call[Nothing, NoQuery]) -> web.Response:
    """The patient did not come."""
    return await _change(call, Status.NO_SHOW)


async def _change(call: Call[Nothing, NoQuery], status: Status) -> web.Response:
    changed = await call.request.app[BOOKINGS].change_status(
        _actor(call.caller), call.path["id"], status, call.if_match
    )
    return _appointment(changed, 200)


async def list_ids_to_erase(call: Call[Nothing, Paged]) -> web.Response:
    """A page of the ids of a patient's appointments."""
    patient_id, limit = call.path["patient_id"], call.query.limit
    name = f"erasures:{patient_id}"
    position = _position(decode_cursor(name, call.query.cursor), 1)
    erasing, after = call.request.app[ERASING], position[0] if position is not None else ""
    found = await erasing.appointment_ids(patient_id, after, limit + 1)
    page = found[:limit]
    more = len(found) > limit
    cursor = encode_cursor(name, [page[-1].removeprefix(patient_id)]) if more else None
    return answer(schemas.AppointmentIds(items=page, next_cursor=cursor))


async def erase(call: Call[Nothing, NoQuery]) -> web.Response:
    """Takes a patient out of some of its appointments."""
    erasing = call.request.app[ERASING]
    remaining = await erasing.erase(_actor(call.caller), call.path["patient_id"])
    return answer(schemas.Erased(remaining=remaining))


def _appointment(appointment: appointments.Appointment, status: int) -> web.Response:
    model = schemas.Appointment.of(appointment)
    return answer(model, status=status, headers=etag(appointment.version))


def _render(appointment: appointments.Appointment) -> bytes:
    return schemas.Appointment.of(appointment).model_dump_json().encode()


def _idempotency(
    call: Call[schemas.NewAppointment, NoQuery] | Call[schemas.Reschedule, NoQuery], status: int
) -> Idempotency | None:
    key = call.idempotency_key
    if key is None:
        return None
    place = f"{call.request.method} {call.request.path} {key}"
    return Idempotency(
        caller_id=call.caller.id,
        key=hashlib.sha256(place.encode()).hexdigest(),
        request_hash=hashlib.sha256(call.raw_body).hexdigest(),
        status=status,
        render=_render,
    )


def _done(done: Done, status: int) -> web.Response:
    if done.answered is None:
        if done.appointment is None:
            raise ValueError("neither an appointment nor an answer")
        return _appointment(done.appointment, status)
    return web.Response(
        body=done.answered.body,
        status=done.answered.status,
        headers={"Idempotency-Replayed": "true", **etag(done.answered.version)},
        content_type="application/json",
        charset="utf-8",
    )
