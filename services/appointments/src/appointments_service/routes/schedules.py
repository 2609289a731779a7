"""Hours, what overrides them, and what is open."""

from collections.abc import Sequence
from typing import Final

from appointments_service import errors, schemas
from appointments_service.handlers import schedules
from appointments_service.routes.problems import STORE, USERS
from servicekit.auth import anyone, anyone_or_caller, people
from servicekit.operations import AnyOperation, Operation

_OWN_SCHEDULE = people("doctor", "admin", note="the doctor's own, staff")
_SCHEDULE = "/v1/schedules/{doctor_id}"

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="PUT",
        path=_SCHEDULE,
        handler=schedules.put_schedule,
        access=_OWN_SCHEDULE,
        summary="Set a doctor's hours",
        body=schemas.NewSchedule,
        answers={200: schemas.Schedule},
        problems=(errors.BadScheduleError, *USERS, *STORE),
        versioned=True,
    ),
    Operation(
        method="GET",
        path=_SCHEDULE,
        handler=schedules.get_schedule,
        access=anyone(),
        summary="A doctor's hours",
        answers={200: schemas.Schedule},
        problems=(errors.NoScheduleError, *STORE),
        versioned=True,
    ),
    Operation(
        method="PUT",
        path=_SCHEDULE + "/overrides/{date}",
        handler=schedules.put_override,
        access=_OWN_SCHEDULE,
        summary="Set the hours of one date",
        body=schemas.NewOverride,
        answers={200: schemas.Override},
        problems=(errors.NoScheduleError, errors.BadScheduleError, *USERS, *STORE),
        versioned=True,
    ),
    Operation(
        method="DELETE",
        path=_SCHEDULE + "/overrides/{date}",
        handler=schedules.delete_override,
        access=_OWN_SCHEDULE,
        summary="Put the weekly hours in force again on one date",
        answers={204: None},
        problems=(errors.NoScheduleError, *USERS, *STORE),
        versioned=True,
    ),
    Operation(
        method="GET",
        path=_SCHEDULE + "/overrides",
        handler=schedules.list_overrides,
        access=anyone(),
        summary="A doctor's overrides",
        query=schemas.OverrideFilter,
        answers={200: schemas.OverrideList},
        problems=(errors.BadPositionError, *STORE),
    ),
    Operation(
        method="GET",
        path=_SCHEDULE + "/slots",
        handler=schedules.list_slots,
        access=anyone_or_caller("a patient's own calendar is left out"),
        summary="What can be booked now",
        query=schemas.DateRange,
        answers={200: schemas.Slots},
        problems=(errors.NoScheduleError, errors.InvalidFieldError, *USERS, *STORE),
    ),
    Operation(
        method="GET",
        path=_SCHEDULE + "/explain",
        handler=schedules.explain,
        access=anyone_or_caller("a patient's own calendar is looked at"),
        summary="Why a time can't be booked, if so",
        query=schemas.ExplainQuery,
        answers={200: schemas.Explanation},
        problems=(*USERS, *STORE),
    ),
)
