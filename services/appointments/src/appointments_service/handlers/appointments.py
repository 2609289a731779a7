"""Appointments: booked, moved, cancelled, run through the day, and looked at."""

from aiohttp import web

from appointments_service import schemas
from appointments_service.domain.appointments import Status
from appointments_service.errors import InvalidFieldError
from appointments_service.handlers.common import (
    BOOKINGS,
    CLINIC,
    SERIES,
    actor_of,
    appointment_answer,
    done_answer,
    idempotency_of,
    position_of,
)
from appointments_service.store import Selection
from servicekit.audit import audit_read
from servicekit.operations import Call, answer
from servicekit.paging import decode_cursor, encode_cursor
from servicekit.wire import NoQuery, Nothing


async def book(call: Call[schemas.NewAppointment, NoQuery]) -> web.Response:
    """Books a time."""
    body = call.body
    if call.caller.role != "patient" and body.patient_id is None:
        raise InvalidFieldError(("body", "patient_id"), "name the patient")
    done = await call.request.app[BOOKINGS].book(
        actor_of(call.caller),
        doctor_id=body.doctor_id,
        patient_id=body.patient_id,
        starts_at=body.starts_at,
        reason=body.reason,
        override=body.override,
        idempotency=idempotency_of(call, 201),
    )
    return done_answer(done, 201)


async def reschedule(call: Call[schemas.Reschedule, NoQuery]) -> web.Response:
    """Moves an appointment."""
    done = await call.request.app[BOOKINGS].move(
        actor_of(call.caller),
        call.path["id"],
        call.body.starts_at,
        call.if_match,
        idempotency_of(call, 200),
    )
    return done_answer(done, 200)


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
        actor_of(caller), selection, query.limit, position_of(decode_cursor(name, query.cursor), 3)
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
    found = await call.request.app[BOOKINGS].appointment(actor_of(call.caller), call.path["id"])
    audit_read(call, [found.patient_id])
    return appointment_answer(found, 200)


async def get_history(call: Call[Nothing, NoQuery]) -> web.Response:
    """All that happened to an appointment."""
    found = await call.request.app[BOOKINGS].appointment(actor_of(call.caller), call.path["id"])
    audit_read(call, [found.patient_id])
    return answer(schemas.History.of(found))


async def cancel(call: Call[schemas.Cancellation, NoQuery]) -> web.Response:
    """Gives the time back, also that of all later ones of the series if that is asked for."""
    if call.body.series is not None:
        cancelled = await call.request.app[SERIES].cancel_remaining(
            actor_of(call.caller), call.path["id"], call.if_match, call.body.reason
        )
        return appointment_answer(cancelled, 200)
    changed = await call.request.app[BOOKINGS].change_status(
        actor_of(call.caller), call.path["id"], Status.CANCELLED, call.if_match, call.body.reason
    )
    return appointment_answer(changed, 200)


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
        actor_of(call.caller), call.path["id"], status, call.if_match
    )
    return appointment_answer(changed, 200)
