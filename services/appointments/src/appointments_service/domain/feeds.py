"""Calendar feeds: whose they are, and how much of an appointment they tell."""

from dataclasses import dataclass
from datetime import datetime

from appointments_service.domain.appointments import Appointment


@dataclass(frozen=True, slots=True)
class Feed:
    """One person's calendar, to be read by whoever has its secret.

    Attributes:
        digest: SHA-256 of the secret, in hex; the secret itself is kept nowhere.
        role: as what its owner has appointments, "patient" or "doctor".
    """

    digest: str
    owner_id: str
    role: str
    created_at: datetime


def summary_for(role: str, appointment: Appointment) -> str:
    """What an event is called.

    A feed's address lies with whoever keeps the calendar, and is all that reading it takes. So
    there is the least in it that is of use: for patients with whom; for doctors the patient's
    initials, which tell who comes to one who knows, and nobody else; for nobody the reason.
    """
    if role == "patient":
        return f"Appointment with {appointment.doctor_name}"
    letters = initials(appointment.patient_name)
    return f"Appointment ({letters})" if letters else "Appointment"


def initials(name: str) -> str:
    """The first letters of the first and the last word; none of a name that was erased."""
    words = [word for word in name.split() if word[0].isalnum()]
    ends = words if len(words) < 3 else [words[0], words[-1]]
    return " ".join(f"{word[0]}." for word in ends)
