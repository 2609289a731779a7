"""A search over all doctors of a specialty."""

from aiohttp import web

from appointments_service import schemas
from appointments_service.domain.availability import moment_of
from appointments_service.handlers.common import SEARCHING, patient_id_of
from servicekit.operations import Call, answer
from servicekit.wire import Nothing


async def search_slots(call: Call[Nothing, schemas.Search]) -> web.Response:
    """The earliest that can be booked now."""
    query = call.query
    found = await call.request.app[SEARCHING].earliest(
        query.specialty, query.from_, query.to, query.limit, patient_id_of(call.caller_or_none)
    )
    return answer(
        schemas.OpenSlots(
            items=[
                schemas.OpenSlot(
                    doctor_id=one.offer.doctor_id,
                    doctor_name=one.doctor_name,
                    starts_at=moment_of(one.offer.start),
                    ends_at=moment_of(one.offer.end),
                )
                for one in found
            ]
        )
    )
