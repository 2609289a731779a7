"""The doctors' directory."""

from collections.abc import Sequence
from typing import Final

from servicekit.auth import anyone, people
from servicekit.operations import AnyOperation, Operation
from users_service import schemas
from users_service.handlers import doctors
from users_service.routes.problems import DATABASE

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="GET",
        path="/v1/doctors",
        handler=doctors.list_doctors,
        access=anyone(),
        summary="The doctors' directory",
        query=schemas.DoctorsQuery,
        answers={200: schemas.DoctorPage},
        problems=DATABASE,
    ),
    Operation(
        method="GET",
        path="/v1/doctors/{id}",
        handler=doctors.get_doctor,
        access=anyone(),
        summary="A doctor",
        answers={200: schemas.Doctor},
        problems=DATABASE,
        versioned=True,
    ),
    Operation(
        method="PUT",
        path="/v1/doctors/{id}",
        handler=doctors.describe_doctor,
        access=people("doctor", "admin", note="the doctor's own, admins"),
        summary="Describe a doctor",
        body=schemas.Description,
        answers={200: schemas.Doctor},
        problems=DATABASE,
        versioned=True,
    ),
)
