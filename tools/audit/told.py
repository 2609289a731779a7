"""What answers said, against what is there (invariant 4)."""

from __future__ import annotations

from datetime import datetime

from appointments_service.domain.appointments import Appointment
from appointments_service.domain.invariants import ANSWER, Breach
from appointments_service.store_dynamodb.items import instant
from tools.answers import Answered


def answer_breaches(answered: Answered, appointment: Appointment | None) -> list[Breach]:
    """What an answer said that isn't there (4): the line of history it told of must be kept."""
    fault = _answer_fault(answered, appointment)
    return [Breach(ANSWER, f"appointment {answered.id}", fault)] if fault else []


def _answer_fault(answered: Answered, appointment: Appointment | None) -> str | None:
    if appointment is None:
        return f"{answered.source}, and it is not there"
    if appointment.version < answered.version:
        return (
            f"{answered.source} with version {answered.version}, "
            f"and it is in version {appointment.version}"
        )
    if not 1 <= answered.version <= len(appointment.history):
        return f"{answered.source} with version {answered.version}, of which history doesn't tell"
    change = appointment.history[answered.version - 1]
    said = (answered.status, datetime.fromisoformat(answered.starts_at))
    kept = (change.to_status.value, change.starts_at)
    if said != kept:
        return (
            f"{answered.source} {answered.status} at {answered.starts_at}, "
            f"its history says {change.to_status} at {instant(change.starts_at)}"
        )
    return None
