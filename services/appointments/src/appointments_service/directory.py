"""The ports to those who know who a doctor or a patient is, and how one is reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Doctor:
    """What appointments need to know of a doctor."""

    id: str
    name: str
    accepting_patients: bool


@dataclass(frozen=True, slots=True)
class Patient:
    """What appointments need to know of a patient."""

    id: str
    name: str


class Directory(Protocol):
    """Every method may raise UsersUnavailableError."""

    async def doctor(self, doctor_id: str) -> Doctor | None:
        """The doctor, None if there is none of this id."""

    async def doctors_of(self, specialty: str) -> Sequence[Doctor]:
        """All doctors of a specialty, whether they take patients or not."""

    async def patient(self, patient_id: str) -> Patient | None:
        """The patient, None if there is no active one of this id."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a person is reached, and by which clocks it lives."""

    email: str
    timezone: str


class Contacts(Protocol):
    """Those who know how people are reached."""

    async def contact(self, user_id: str) -> Contact | None:
        """None for an account that isn't there any more. Raises UsersUnavailableError."""
