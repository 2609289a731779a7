"""Who an appointment is with and for, and whether whoever asks may book it."""

from appointments_service.directory import Directory
from appointments_service.domain.appointments import Actor, Party
from appointments_service.errors import (
    DoctorUnavailableError,
    ForbiddenError,
    UnknownDoctorError,
    UnknownPatientError,
)
from appointments_service.service.schedules import DETAILS


class Parties:
    """Looks up those that a booking is about."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def of(self, actor: Actor, doctor_id: str, patient_id: str | None) -> tuple[Party, Party]:
        """The patient and the doctor.

        Raises:
            ForbiddenError: it isn't the caller's to book.
            UnknownPatientError, UnknownDoctorError, DoctorUnavailableError: see there.
        """
        patient = await self._patient(actor, doctor_id, patient_id)
        doctor = await self._directory.doctor(doctor_id)
        if doctor is None:
            raise UnknownDoctorError(DETAILS["unknown_doctor"])
        if not doctor.accepting_patients:
            raise DoctorUnavailableError(DETAILS["doctor_unavailable"])
        return patient, Party(doctor.id, doctor.name)

    async def _patient(self, actor: Actor, doctor_id: str, patient_id: str | None) -> Party:
        """For whom is booked: patients book for themselves, others name one."""
        if actor.role == "patient":
            if patient_id not in (None, actor.id):
                raise ForbiddenError("a patient books for itself")
            return Party(actor.id, actor.name)
        if actor.role == "doctor" and doctor_id != actor.id:
            raise ForbiddenError("a doctor books into the own schedule")
        patient = await self._directory.patient(patient_id) if patient_id is not None else None
        if patient is None:
            raise UnknownPatientError(DETAILS["unknown_patient"])
        return Party(patient.id, patient.name)
