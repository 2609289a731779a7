"""What a run left in the table: all appointments with their histories, and what the audit says."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from appointments_service.domain.appointments import Appointment, Change, Status
from appointments_service.domain.invariants import Breach
from appointments_service.store_dynamodb.audit_table import Table
from appointments_service.store_dynamodb.items import Item, appointment_of
from tools.answers import Answered
from tools.audit.audit import Audit
from tools.stress.clinic import TABLE
from tools.stress.history import History, Kept, Version


async def read_kept(client: Any) -> list[Kept]:
    """All appointments, as they are when nothing goes on any more."""
    found: list[Kept] = []

    async def take(page: list[Item]) -> None:
        found.extend(_kept(appointment_of(item)) for item in page if "doctor_id" in item)

    await Table(client, TABLE).scan(1, take)
    return found


async def audit(client: Any, history: History) -> list[Breach]:
    """`./dev audit` over the table and all answers of the history."""
    answers = [
        Answered.of(str(operation), shown)
        for operation in history.operations
        for shown in operation.shown
    ]
    report = await Audit(Table(client, TABLE), ZoneInfo("UTC")).run(answers)
    return report.breaches


def _kept(appointment: Appointment) -> Kept:
    return Kept(
        id=appointment.id,
        doctor=appointment.doctor_id,
        patient=appointment.patient_id,
        override=appointment.override,
        series=appointment.series_id,
        versions=tuple(
            Version(
                number,
                change.to_status.value,
                int(change.starts_at.timestamp()),
                _mark(appointment, change),
            )
            for number, change in enumerate(appointment.history, 1)
        ),
    )


def _mark(appointment: Appointment, change: Change) -> str:
    """The reason of a booking, the note of a cancellation, or who did the rest."""
    if change.from_status is None:
        return appointment.reason or ""
    if change.to_status is Status.CANCELLED:
        return change.note or ""
    return change.actor_id
