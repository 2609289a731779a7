"""For every operation with a body: one that is taken, by whom, and where it can be read again."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.e2e.client import Answer
from tests.e2e.clinic import PASSWORD, Clinic, Person, at, new_email, today
from tests.e2e.documents import Operation

CONTENT = b"All is well.\n"


@dataclass(frozen=True)
class Desk:
    """What one worker has for itself, so that several can work at once.

    Attributes:
        appointment: the id of one of the patient with the doctor.
        file: the id of a file of it.
        calendar: the secret of the patient's.
        waiting: the id of an entry of the patient's in the waiting list.
    """

    admin: Person
    doctor: Person
    patient: Person
    appointment: str
    file: str
    calendar: str
    waiting: str


async def make_desk(clinic: Clinic, admin: Person) -> Desk:
    """A doctor who is always there, a patient, and what they have together."""
    doctor, patient = await clinic.doctor(admin), await clinic.patient()
    appointment = (await clinic.book(patient, doctor, at(2, 0)))["id"]
    file = (await clinic.attach(patient, appointment, CONTENT))["id"]
    calendar = await clinic.subscribe(patient)
    waiting = (await clinic.wait(patient, doctor, days=300))["id"]
    return Desk(admin, doctor, patient, appointment, file, calendar, waiting)


Make = Callable[[Desk], Any]
Undo = Callable[[Clinic, Desk, Answer], Awaitable[None]]
ReadBack = Callable[[Desk, Any], tuple[str, Person]]


async def nothing_to_undo(_clinic: Clinic, _desk: Desk, _answer: Answer) -> None:
    """For what may stay."""


@dataclass(frozen=True)
class Example:
    """How an operation is used.

    Attributes:
        target: the path.
        caller: whose token goes along, if any.
        body: one that is taken; for a thing that can be there only once, a new one each time.
        read_back: from the answer, where the thing can be read and who may; None where nothing of
            the body can be read again.
        undo: makes the same body acceptable again.
        refusals: codes that say no and name no field, for that would tell too much.
        fields_of: by the code of a refusal, the field that it is about.
    """

    target: Callable[[Desk], str]
    body: Make
    caller: Callable[[Desk], Person] | None = None
    read_back: ReadBack | None = None
    undo: Undo = nothing_to_undo
    refusals: tuple[str, ...] = ()
    fields_of: tuple[tuple[str, str], ...] = ()


def _account(_desk: Desk) -> dict[str, Any]:
    return {
        "email": new_email(),
        "password": PASSWORD,
        "full_name": "Ada Example",
        "timezone": "Europe/Berlin",
        "phone": "+351 912 345 678",
        "birth_date": "1990-01-31",
    }


def _profile(_desk: Desk) -> dict[str, Any]:
    account = _account(_desk)
    return {name: account[name] for name in ("full_name", "timezone", "phone", "birth_date")}


def _booking(desk: Desk) -> dict[str, Any]:
    return {
        "doctor_id": desk.doctor.id,
        "starts_at": at(3, 0),
        "reason": "checkup",
        "patient_id": desk.patient.id,
    }


def _series(desk: Desk) -> dict[str, Any]:
    return {**_booking(desk), "starts_at": at(6, 0), "every_weeks": 1, "count": 2}


async def _cancel_series(clinic: Clinic, desk: Desk, answer: Answer) -> None:
    first = answer.json["items"][0]["id"]
    target, body = f"/v1/appointments/{first}/cancel", {"series": "remaining"}
    await clinic.client.ok("POST", target, body, token=desk.patient.token)


def _waiting(desk: Desk) -> dict[str, Any]:
    # Far from what else is booked here: what is free then is held for it at once.
    day = (today() + timedelta(days=301)).isoformat()
    return {"doctor_id": desk.doctor.id, "from": day, "to": day}


async def _wait_no_more(clinic: Clinic, desk: Desk, answer: Answer) -> None:
    target = f"/v1/waitlist/{answer.json['id']}"
    done = await clinic.client.call("DELETE", target, token=desk.patient.token)
    assert done.status == 204, done


def _file(desk: Desk) -> dict[str, Any]:
    return {
        "appointment_id": desk.appointment,
        "filename": "report.txt",
        "content_type": "text/plain",
        "size_bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }


async def _cancel(clinic: Clinic, desk: Desk, answer: Answer) -> None:
    """Cancel for the same reason as it was booked for, which the history then tells."""
    reason, target = answer.json["reason"], f"/v1/appointments/{answer.json['id']}"
    call, token = clinic.client.ok, desk.patient.token
    await call("POST", f"{target}/cancel", {"reason": reason}, token=token)
    history = await call("GET", f"{target}/history", token=token)
    assert history["items"][-1]["note"] == reason


async def _delete_file(clinic: Clinic, desk: Desk, answer: Answer) -> None:
    file = answer.json["file"]
    target = f"/v1/files/{file['appointment_id']}/{file['id']}"
    await clinic.client.ok("DELETE", target, token=desk.patient.token)


def admin_of(desk: Desk) -> Person:
    return desk.admin


def doctor_of(desk: Desk) -> Person:
    return desk.doctor


def patient_of(desk: Desk) -> Person:
    return desk.patient


def let_in(desk: Desk, operation: Operation) -> Person:
    """Whoever may call an operation of people, whatever it is about."""
    return desk.patient if operation.is_for_patients else desk.admin


_CODE = ("wrong_code", "no_second_factor", "too_many_attempts")
_WEAK = (("weak_password", "password"), ("email_taken", "email"))
_WHO = (("unknown_doctor", "doctor_id"), ("unknown_patient", "patient_id"))

EXAMPLES: dict[str, Example] = {
    "POST /v1/auth/register": Example(
        target=lambda _: "/v1/auth/register",
        body=_account,
        read_back=lambda desk, made: (f"/v1/users/{made['id']}", desk.admin),
        fields_of=_WEAK,
    ),
    "POST /v1/auth/login": Example(
        target=lambda _: "/v1/auth/login",
        body=lambda desk: {"email": desk.patient.email, "password": PASSWORD, "otp": "123456"},
        refusals=("bad_credentials", "too_many_attempts"),
    ),
    "POST /v1/auth/refresh": Example(
        target=lambda _: "/v1/auth/refresh",
        body=lambda desk: {"refresh_token": desk.patient.refresh_token},
        refusals=("invalid_refresh_token",),
    ),
    "POST /v1/auth/logout": Example(
        target=lambda _: "/v1/auth/logout",
        body=lambda _: {"refresh_token": "unknown"},
    ),
    "POST /v1/auth/service-token": Example(
        target=lambda _: "/v1/auth/service-token",
        body=lambda _: {"client_assertion": "unknown"},
        refusals=("invalid_client",),
    ),
    "POST /v1/auth/register/confirm": Example(
        target=lambda _: "/v1/auth/register/confirm",
        body=lambda _: {"token": "unknown", "password": PASSWORD},
        refusals=("invalid_registration_token",),
    ),
    "POST /v1/auth/password": Example(
        target=lambda _: "/v1/auth/password",
        body=lambda _: {"current_password": "another password", "new_password": PASSWORD},
        caller=patient_of,
        refusals=("bad_credentials", "too_many_attempts"),
        fields_of=(("weak_password", "new_password"),),
    ),
    "POST /v1/auth/password-reset": Example(
        target=lambda _: "/v1/auth/password-reset",
        body=lambda _: {"email": new_email()},
    ),
    "POST /v1/auth/password-reset/confirm": Example(
        target=lambda _: "/v1/auth/password-reset/confirm",
        body=lambda _: {"token": "unknown", "new_password": PASSWORD},
        refusals=("invalid_reset_token",),
        fields_of=(("weak_password", "new_password"),),
    ),
    "POST /v1/auth/second-factor": Example(
        target=lambda _: "/v1/auth/second-factor",
        body=lambda _: {"password": PASSWORD},
        caller=patient_of,
        refusals=("bad_credentials", "too_many_attempts"),
    ),
    "POST /v1/auth/second-factor/confirm": Example(
        target=lambda _: "/v1/auth/second-factor/confirm",
        body=lambda _: {"code": "000000"},
        caller=patient_of,
        refusals=_CODE,
    ),
    "POST /v1/auth/second-factor/recovery-codes": Example(
        target=lambda _: "/v1/auth/second-factor/recovery-codes",
        body=lambda _: {"code": "000000"},
        caller=patient_of,
        refusals=_CODE,
    ),
    "POST /v1/auth/second-factor/remove": Example(
        target=lambda _: "/v1/auth/second-factor/remove",
        body=lambda _: {"password": PASSWORD, "code": "000000"},
        caller=patient_of,
        refusals=("bad_credentials", *_CODE),
    ),
    "PUT /v1/auth/second-factor/policy": Example(
        target=lambda _: "/v1/auth/second-factor/policy",
        body=lambda _: {"roles": ["doctor"]},
        caller=admin_of,
    ),
    "PATCH /v1/users/me": Example(
        target=lambda _: "/v1/users/me",
        body=_profile,
        caller=patient_of,
        read_back=lambda desk, _: ("/v1/users/me", desk.patient),
    ),
    "POST /v1/users": Example(
        target=lambda _: "/v1/users",
        body=lambda desk: {**_account(desk), "role": "patient"},
        caller=admin_of,
        read_back=lambda desk, made: (f"/v1/users/{made['id']}", desk.admin),
        fields_of=_WEAK,
    ),
    "PATCH /v1/users/{id}": Example(
        target=lambda desk: f"/v1/users/{desk.patient.id}",
        body=lambda desk: {**_profile(desk), "role": "patient", "status": "active"},
        caller=admin_of,
        read_back=lambda desk, _: (f"/v1/users/{desk.patient.id}", desk.admin),
    ),
    "PUT /v1/doctors/{id}": Example(
        target=lambda desk: f"/v1/doctors/{desk.doctor.id}",
        body=lambda _: {"specialty": "cardiology", "bio": "Hearts.", "accepting_patients": True},
        caller=doctor_of,
        read_back=lambda desk, _: (f"/v1/doctors/{desk.doctor.id}", desk.doctor),
    ),
    "PUT /v1/schedules/{doctor_id}": Example(
        target=lambda desk: f"/v1/schedules/{desk.doctor.id}",
        body=lambda desk: {
            "timezone": "UTC",
            "weekly": {"mon": [{"start": "00:00", "end": "24:00"}]},
            "slot_minutes": 5,
            "buffer_before_minutes": 0,
            "buffer_after_minutes": 0,
            "min_notice_minutes": 0,
            "horizon_days": 365,
            "doctor_id": desk.doctor.id,
            "version": 1,
        },
        caller=doctor_of,
        read_back=lambda desk, _: (f"/v1/schedules/{desk.doctor.id}", desk.doctor),
        fields_of=(("validation_failed", "doctor_id"),),
    ),
    "PUT /v1/schedules/{doctor_id}/overrides/{date}": Example(
        target=lambda desk: f"/v1/schedules/{desk.doctor.id}/overrides/2027-01-04",
        body=lambda _: {"hours": [{"start": "00:00", "end": "24:00"}]},
        caller=doctor_of,
    ),
    "POST /v1/appointments": Example(
        target=lambda _: "/v1/appointments",
        body=_booking,
        caller=admin_of,
        read_back=lambda desk, made: (f"/v1/appointments/{made['id']}", desk.doctor),
        undo=_cancel,
        fields_of=_WHO,
    ),
    "POST /v1/appointments/series": Example(
        target=lambda _: "/v1/appointments/series",
        body=_series,
        caller=admin_of,
        read_back=lambda desk, made: (f"/v1/appointments/{made['items'][0]['id']}", desk.doctor),
        undo=_cancel_series,
        fields_of=_WHO,
    ),
    "POST /v1/appointments/{id}/reschedule": Example(
        target=lambda desk: f"/v1/appointments/{desk.appointment}/reschedule",
        body=lambda desk: {"starts_at": at(5, 0)},
        caller=patient_of,
    ),
    "POST /v1/appointments/{id}/cancel": Example(
        target=lambda desk: f"/v1/appointments/{desk.appointment}/cancel",
        body=lambda _: {"reason": "ill"},
        caller=patient_of,
        refusals=("wrong_status",),
    ),
    "POST /v1/waitlist": Example(
        target=lambda _: "/v1/waitlist",
        body=_waiting,
        caller=patient_of,
        undo=_wait_no_more,
        fields_of=(("unknown_doctor", "doctor_id"),),
    ),
    "POST /v1/files": Example(
        target=lambda _: "/v1/files",
        body=_file,
        caller=patient_of,
        read_back=lambda desk, made: (
            f"/v1/files/{made['file']['appointment_id']}/{made['file']['id']}",
            desk.patient,
        ),
        undo=_delete_file,
        fields_of=(
            ("bad_filename", "filename"),
            ("type_not_allowed", "content_type"),
            ("not_found", "appointment_id"),
        ),
    ),
}
