"""Series: booked together."""

from aiohttp import web

from appointments_service import schemas
from appointments_service.errors import InvalidFieldError
from appointments_service.handlers.common import SERIES, actor_of, idempotency_of, replayed
from appointments_service.service.series import Wanted
from servicekit.operations import Call, answer
from servicekit.wire import NoQuery


async def book_series(call: Call[schemas.NewSeries, NoQuery]) -> web.Response:
    """Books all appointments of a series, or none."""
    body = call.body
    if call.caller.role != "patient" and body.patient_id is None:
        raise InvalidFieldError(("body", "patient_id"), "name the patient")
    wanted = Wanted(
        doctor_id=body.doctor_id,
        patient_id=body.patient_id,
        starts_at=body.starts_at,
        every_weeks=body.every_weeks,
        count=body.count,
        reason=body.reason,
    )
    done = await call.request.app[SERIES].book(
        actor_of(call.caller), wanted, idempotency_of(call, 201, series=True)
    )
    if done.answered is not None:
        return replayed(done.answered)
    return answer(schemas.Series.of(done.made), status=201)
