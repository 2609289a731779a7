"""The doctors' directory."""

from aiohttp import web

from servicekit.operations import Call, answer, etag
from servicekit.wire import NoQuery, Nothing
from users_service import schemas
from users_service.domain import users as domain
from users_service.handlers.common import ACCOUNT, after_of, origin_of, page_of, use_cases
from users_service.store import DoctorFilter


async def list_doctors(call: Call[Nothing, schemas.DoctorsQuery]) -> web.Response:
    """GET /v1/doctors."""
    query = call.query
    name = f"doctors:{query.specialty}:{query.q}"
    after = after_of(name, query.cursor)
    chosen = DoctorFilter(query.specialty, query.q)
    found = await use_cases(call).directory.list(chosen, after, query.limit + 1)
    page, cursor = page_of(name, found, query.limit)
    items = [_of_doctor(doctor) for doctor in page]
    return answer(schemas.DoctorPage(items=items, next_cursor=cursor))


async def get_doctor(call: Call[Nothing, NoQuery]) -> web.Response:
    """GET /v1/doctors/{id}."""
    directory = use_cases(call).directory
    doctor = await directory.doctor(call.path["id"])
    # Private: whoever relies on it counts from its own question, not from a cache's.
    lease = f"private, max-age={directory.lease_seconds}"
    headers = {**etag(doctor.version), "Cache-Control": lease}
    return answer(_of_doctor(doctor), headers=headers)


async def describe_doctor(call: Call[schemas.Description, NoQuery]) -> web.Response:
    """PUT /v1/doctors/{id}."""
    described = await use_cases(call).directory.describe(
        call.request[ACCOUNT],
        call.path["id"],
        specialty=call.body.specialty,
        bio=call.body.bio,
        accepting_patients=call.body.accepting_patients,
        versions=call.if_match,
        origin=origin_of(call),
    )
    return _doctor(described)


def _of_doctor(doctor: domain.Doctor) -> schemas.Doctor:
    return schemas.Doctor.model_construct(
        id=doctor.id,
        full_name=doctor.full_name,
        specialty=doctor.specialty,
        bio=doctor.bio,
        timezone=doctor.timezone,
        accepting_patients=doctor.accepting_patients,
        version=doctor.version,
    )


def _doctor(doctor: domain.Doctor) -> web.Response:
    return answer(_of_doctor(doctor), headers=etag(doctor.version))
