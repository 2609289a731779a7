"""The wire: bodies, queries and answers of this service, as the contract names them."""

from appointments_service.schemas.appointments import (
    Appointment,
    AppointmentFilter,
    AppointmentList,
    Cancellation,
    Change,
    History,
    NewAppointment,
    Reschedule,
)
from appointments_service.schemas.calendars import Calendar
from appointments_service.schemas.erasures import (
    AppointmentIds,
    Erased,
)
from appointments_service.schemas.schedules import (
    DateRange,
    ExplainQuery,
    Explanation,
    Interval,
    NewOverride,
    NewSchedule,
    Override,
    OverrideFilter,
    OverrideList,
    Schedule,
    Slot,
    Slots,
)
from appointments_service.schemas.series import NewSeries, Series

__all__ = [
    "Appointment",
    "AppointmentFilter",
    "AppointmentIds",
    "AppointmentList",
    "Calendar",
    "Cancellation",
    "Change",
    "DateRange",
    "Erased",
    "ExplainQuery",
    "Explanation",
    "History",
    "Interval",
    "NewAppointment",
    "NewOverride",
    "NewSchedule",
    "NewSeries",
    "Override",
    "OverrideFilter",
    "OverrideList",
    "Reschedule",
    "Schedule",
    "Series",
    "Slot",
    "Slots",
]
