"""Taking a patient whose account is closed out of its appointments."""

from aiohttp import web

from appointments_service import schemas
from appointments_service.handlers.common import ERASING, actor_of, position_of
from servicekit.operations import Call, answer
from servicekit.paging import Paged, decode_cursor, encode_cursor
from servicekit.wire import NoQuery, Nothing


async def list_ids_to_erase(call: Call[Nothing, Paged]) -> web.Response:
    """A page of the ids of a patient's appointments."""
    patient_id, limit = call.path["patient_id"], call.query.limit
    name = f"erasures:{patient_id}"
    position = position_of(decode_cursor(name, call.query.cursor), 1)
    erasing, after = call.request.app[ERASING], position[0] if position is not None else ""
    found = await erasing.appointment_ids(patient_id, after, limit + 1)
    page = found[:limit]
    more = len(found) > limit
    cursor = encode_cursor(name, [page[-1].removeprefix(patient_id)]) if more else None
    return answer(schemas.AppointmentIds(items=page, next_cursor=cursor))


async def erase(call: Call[Nothing, NoQuery]) -> web.Response:
    """Takes a patient out of some of its appointments."""
    erasing = call.request.app[ERASING]
    remaining = await erasing.erase(actor_of(call.caller), call.path["patient_id"])
    return answer(schemas.Erased(remaining=remaining))
