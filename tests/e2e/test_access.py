"""Every operation, as everybody: who is let in is what docs/access.md says.

A new operation fails here, by name, until it is said what it needs: its ids in IDS, its query in
QUERIES, its body in EXAMPLES (examples.py); and who may, in NARROWER of tools/access.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jwt

from tests.e2e.client import Answer
from tests.e2e.clinic import Clinic, Person, at, today
from tests.e2e.conftest import People
from tests.e2e.documents import Operation
from tests.e2e.examples import EXAMPLES, Desk, make_desk
from tools.access import COLUMNS, YES, rows

OVERRIDE = "/v1/schedules/{doctor_id}/overrides/{date}"
FILE = "/v1/files/{appointment_id}/{file_id}"


def session_of(person: Person) -> str:
    """The session that a token belongs to."""
    claims = jwt.decode(person.token, options={"verify_signature": False})
    return str(claims["sid"])


# What the ids of a path are, by how the path begins.
IDS: dict[str, Callable[[Desk], dict[str, str]]] = {
    "/v1/appointments/erasures/": lambda desk: {"patient_id": desk.patient.id},
    "/v1/files/erasures/": lambda desk: {"appointment_id": desk.appointment},
    "/v1/auth/sessions/{id}": lambda desk: {"id": session_of(desk.patient)},
    "/v1/users/{id}": lambda desk: {"id": desk.patient.id},
    "/v1/doctors/{id}": lambda desk: {"id": desk.doctor.id},
    "/v1/schedules/{doctor_id}": lambda desk: {"doctor_id": desk.doctor.id, "date": "2027-01-04"},
    "/v1/appointments/{id}": lambda desk: {"id": desk.appointment},
    "/v1/calendars/": lambda desk: {"secret": desk.calendar},
    "/v1/waitlist/{id}": lambda desk: {"id": desk.waiting},
    FILE: lambda desk: {"appointment_id": desk.appointment, "file_id": desk.file},
}
QUERIES: dict[str, Callable[[Desk], str]] = {
    "GET /v1/schedules/{doctor_id}/slots": lambda _: f"from={today()}&to={today()}",
    "GET /v1/slots": lambda _: f"specialty=medicine&from={today()}&to={today()}",
    "GET /v1/schedules/{doctor_id}/explain": lambda _: f"starts_at={at(3, 0)}",
    # Of both, so that it is about somebody, whoever asks.
    "GET /v1/appointments": lambda desk: f"patient_id={desk.patient.id}&doctor_id={desk.doctor.id}",
    "GET /v1/files": lambda desk: f"appointment_id={desk.appointment}",
}
# Where the example is an admin's, what everybody could send.
BODIES: dict[str, Any] = {
    "PATCH /v1/users/{id}": {"full_name": "Ada Example"},
    "PUT /v1/auth/second-factor/policy": {"roles": []},  # or doctors could do nothing else
}

# Codes that would be let in if the request were better: it must be, or nothing is shown.
_UNFIT = {"validation_failed", "malformed_json", "bad_header", "unsupported_media_type"}
_REFUSED = {(401, "invalid_token"), (403, "forbidden"), (404, "not_found")}


@dataclass(frozen=True)
class Cast:
    """Who calls: those of a desk, those who have nothing to do with it, and one shut out."""

    desk: Desk
    patient: Person
    doctor: Person
    disabled: Person

    def caller(self, column: str) -> Person | None:
        return {
            "nobody": None,
            "patient (other)": self.patient,
            "patient (own)": self.desk.patient,
            "doctor (other)": self.doctor,
            "doctor (own)": self.desk.doctor,
            "admin": self.desk.admin,
            "disabled": self.disabled,
        }[column]


async def make_cast(clinic: Clinic, admin: Person) -> Cast:
    disabled = await clinic.patient()
    target = f"/v1/users/{disabled.id}"
    cast = Cast(
        await make_desk(clinic, admin),
        await clinic.patient(),
        await clinic.doctor(admin, schedule=None),
        disabled,
    )
    await clinic.client.ok("PATCH", target, {"status": "disabled"}, token=admin.token)
    return cast


async def nothing_more(_clinic: Clinic, _desk: Desk) -> None:
    """A cast of its own is enough."""


async def with_an_override(clinic: Clinic, desk: Desk) -> None:
    target = OVERRIDE.format(**IDS["/v1/schedules/{doctor_id}"](desk))
    await clinic.client.ok("PUT", target, {"closed": True}, token=desk.doctor.token)


# What can be done once only, or takes something else away: each caller meets it as it was.
AFRESH: dict[str, Callable[[Clinic, Desk], Awaitable[None]]] = {
    f"DELETE {OVERRIDE}": with_an_override,
    f"DELETE {FILE}": nothing_more,
    "DELETE /v1/auth/sessions/{id}": nothing_more,
    "DELETE /v1/users/me": nothing_more,
    "POST /v1/calendars": nothing_more,
    "DELETE /v1/calendars": nothing_more,
}


def target_of(operation: Operation, desk: Desk) -> str:
    path = operation.path
    needed = operation.parameters("path")
    ids = next((of(desk) for begin, of in IDS.items() if path.startswith(begin)), {})
    assert ids.keys() >= set(needed), f"{operation.name}: say in IDS what {needed} are"
    query = QUERIES.get(operation.name)
    required = [one["name"] for one in operation.item["parameters"] if one["required"]]
    assert query is not None or set(required) <= set(needed), (
        f"{operation.name}: say in QUERIES what {required} are"
    )
    return path.format(**ids) + (f"?{query(desk)}" if query is not None else "")


def body_of(operation: Operation, desk: Desk) -> Any:
    if operation.name in BODIES:
        return BODIES[operation.name]
    if not operation.has_body:
        return None
    example = EXAMPLES.get(operation.name)
    assert example is not None, f"{operation.name}: add an example of its body to examples.py"
    return example.body(desk)


def met_with(answer: Answer) -> str:
    """The table's word for an answer."""
    if (answer.status, answer.code) in _REFUSED:
        return str(answer.status)
    assert answer.code not in _UNFIT, answer
    assert answer.status < 500, answer
    return YES


async def test_everybody_is_let_in_where_the_table_says_so_and_nowhere_else(
    clinic: Clinic,
    people: People,
    documents: dict[str, Any],
    every_operation: list[Operation],
) -> None:
    expected = {row.name: row.expected for row in rows(documents)}
    shared = await make_cast(clinic, people.admin)
    wrong = []
    for operation in every_operation:
        afresh = AFRESH.get(operation.name)
        for column, word in zip(COLUMNS, expected[operation.name], strict=True):
            cast = shared
            if afresh is not None:
                cast = await make_cast(clinic, people.admin)
                await afresh(clinic, cast.desk)
            caller = cast.caller(column)
            answer = await clinic.client.call(
                operation.method,
                target_of(operation, cast.desk),
                body_of(operation, cast.desk),
                token=caller.token if caller is not None else None,
            )
            if met_with(answer) != word:
                wrong.append(f"{column}, expected {word}: {answer}")
    assert not wrong, "\n".join(wrong)


def test_what_is_said_here_is_of_operations(every_operation: list[Operation]) -> None:
    names = {one.name for one in every_operation}
    assert {*QUERIES, *BODIES, *AFRESH} <= names
    assert all(any(one.path.startswith(begin) for one in every_operation) for begin in IDS)
