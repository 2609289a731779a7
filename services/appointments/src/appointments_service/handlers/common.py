"""What handlers share: the use cases, who calls, pages, and how an appointment is answered."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from appointments_service import schemas
from appointments_service.domain import appointments
from appointments_service.domain.appointments import Actor
from appointments_service.errors import BadPositionError
from appointments_service.service.answers import Done, Idempotency
from appointments_service.service.bookings import Bookings
from appointments_service.service.calendars import Calendars
from appointments_service.service.erasing import Erasing
from appointments_service.service.schedules import Schedules
from appointments_service.service.series import SeriesOfAppointments
from appointments_service.store import StoredAnswer
from servicekit.auth import Caller
from servicekit.operations import Call, answer, etag

BOOKINGS = web.AppKey("bookings", Bookings)
SCHEDULES = web.AppKey("schedules", Schedules)
ERASING = web.AppKey("erasing", Erasing)
CALENDARS = web.AppKey("calendars", Calendars)
SERIES = web.AppKey("series", SeriesOfAppointments)
CLOCK = web.AppKey[Callable[[], datetime]]("clock")
CLINIC = web.AppKey("clinic", ZoneInfo)


def actor_of(caller: Caller) -> Actor:
    """Who calls, as the domain knows them."""
    return Actor(caller.id, caller.role, caller.name)


def patient_id_of(caller: Caller | None) -> str | None:
    """Whose own calendar counts: the caller's, if it is a patient."""
    return caller.id if caller is not None and caller.role == "patient" else None


def position_of(decoded: object, parts: int) -> list[str] | None:
    """A cursor's position: so many texts. Whoever reads our code can make one of anything else."""
    if decoded is None:
        return None
    if not isinstance(decoded, list) or len(decoded) != parts or not all(map(_is_text, decoded)):
        raise BadPositionError("no page of this list ends there")
    return decoded


def _is_text(part: object) -> bool:
    return isinstance(part, str) and part != ""


def appointment_answer(appointment: appointments.Appointment, status: int) -> web.Response:
    """An appointment as the answer."""
    model = schemas.Appointment.of(appointment)
    return answer(model, status=status, headers=etag(appointment.version))


def _render_one(made: Sequence[appointments.Appointment]) -> bytes:
    return schemas.Appointment.of(made[0]).model_dump_json().encode()


def _render_series(made: Sequence[appointments.Appointment]) -> bytes:
    return schemas.Series.of(made).model_dump_json().encode()


def idempotency_of(
    call: Call[Any, Any], status: int, *, series: bool = False
) -> Idempotency | None:
    """The caller's key, if it gave one, for an answer with this status should it succeed.

    Args:
        series: whether the answer shows all that was made, and not the one.
    """
    key = call.idempotency_key
    if key is None:
        return None
    place = f"{call.request.method} {call.request.path} {key}"
    return Idempotency(
        caller_id=call.caller.id,
        key=hashlib.sha256(place.encode()).hexdigest(),
        request_hash=hashlib.sha256(call.raw_body).hexdigest(),
        status=status,
        render=_render_series if series else _render_one,
        versioned=not series,
    )


def done_answer(done: Done, status: int) -> web.Response:
    """The appointment that was made, or byte for byte what its key was answered before."""
    if done.answered is None:
        return appointment_answer(done.made[0], status)
    return replayed(done.answered)


def replayed(answered: StoredAnswer) -> web.Response:
    """What was answered to the same key before."""
    tag = etag(answered.version) if answered.version is not None else {}
    return web.Response(
        body=answered.body,
        status=answered.status,
        headers={"Idempotency-Replayed": "true", **tag},
        content_type="application/json",
        charset="utf-8",
    )
