"""Who may do what, as a table: from each service's operations, and from what only people can say.

Roles and scopes are in the operations. Whose a thing must be is not: an operation that notes such
a condition ("its doctor, staff") has a row in NARROWER. The table is docs/access.md, written by
./dev openapi; tests/e2e/test_access.py calls every operation as each column and compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

YES = "yes"
COLUMNS: Final = (
    "nobody",
    "patient (other)",
    "patient (own)",
    "doctor (other)",
    "doctor (own)",
    "admin",
    "disabled",
)

_SCHEDULE = "/v1/schedules/{doctor_id}"
_APPOINTMENT = "/v1/appointments/{id}"
_FILE = "/v1/files/{appointment_id}/{file_id}"
# Another's, and one's own: of a patient, of a doctor.
_INVOLVED = ("404", YES, "404", YES)
_ITS_DOCTOR = ("403", "403", "404", YES)
_OWN_DOCTOR = ("403", "403", "403", YES)
_ITS_PATIENT = ("404", YES, "403", "403")
_NAMED = ("403", YES, "403", YES)
_EVERYBODYS_OWN = (YES, YES, YES, YES)

NARROWER: Final[Mapping[str, tuple[str, ...]]] = {
    "GET /v1/auth/second-factor": _EVERYBODYS_OWN,
    "POST /v1/auth/second-factor": _EVERYBODYS_OWN,
    "POST /v1/auth/second-factor/confirm": _EVERYBODYS_OWN,
    "GET /v1/users/me": _EVERYBODYS_OWN,
    "DELETE /v1/auth/sessions/{id}": ("404", YES, "404", "404", "404"),  # a patient's
    "GET /v1/users/{id}": ("404", YES, YES, YES),  # a doctor sees the name
    "PATCH /v1/users/{id}": ("404", YES, "403", "403"),
    "PUT /v1/doctors/{id}": _OWN_DOCTOR,
    f"PUT {_SCHEDULE}": _OWN_DOCTOR,
    f"PUT {_SCHEDULE}/overrides/{{date}}": _OWN_DOCTOR,
    f"DELETE {_SCHEDULE}/overrides/{{date}}": _OWN_DOCTOR,
    "POST /v1/appointments": _NAMED,
    "POST /v1/appointments/series": _NAMED,
    "GET /v1/appointments": _NAMED,
    f"GET {_APPOINTMENT}": _INVOLVED,
    f"GET {_APPOINTMENT}/history": _INVOLVED,
    f"POST {_APPOINTMENT}/reschedule": _INVOLVED,
    f"POST {_APPOINTMENT}/cancel": _INVOLVED,
    f"POST {_APPOINTMENT}/check-in": _ITS_DOCTOR,
    f"POST {_APPOINTMENT}/complete": _ITS_DOCTOR,
    f"POST {_APPOINTMENT}/no-show": _ITS_DOCTOR,
    "DELETE /v1/waitlist/{id}": _ITS_PATIENT,
    "POST /v1/waitlist/{id}/accept": _ITS_PATIENT,
    "POST /v1/files": _INVOLVED,
    "GET /v1/files": _INVOLVED,
    f"POST {_FILE}/complete": _INVOLVED,
    f"GET {_FILE}": _INVOLVED,
    f"GET {_FILE}/download": _INVOLVED,
    f"DELETE {_FILE}": ("404", YES, "404", "403"),  # the patient's upload, in the tests
}
"""For an operation whose access has a note: patient (other, own), doctor (other, own), and the
admin where that is not any."""

_ROLES: Final = ("patient", "patient", "doctor", "doctor")
_who = re.compile(r"Who: (?P<who>[^(]+?)(?: \((?P<note>.*)\))?\.\Z").search

_INTRODUCTION = """\
# Who may do what

Made by `./dev openapi` from the operations and `tools/access.py`; `tests/e2e/test_access.py` calls
each of them as everybody here and compares.

- *own*: it is about the caller; of an appointment or a file, the caller is its patient or doctor.
- *yes*: answered: 2xx, or a refusal for another reason than who asks.
- 401: no good token. 403: may not do this. 404: may not even know of it.
- *disabled*: a patient whose account was disabled after the token was given out. Users refuses it
  at once, the others when the token ends, at most 15 minutes later.
"""


class MissingError(Exception):
    """An operation of which nobody has said who may."""


@dataclass(frozen=True)
class Row:
    """One operation, and what each column's caller is answered."""

    service: str
    name: str
    who: str
    expected: tuple[str, ...]


def rows(documents: Mapping[str, Any]) -> list[Row]:
    """A row an operation of all OpenAPI documents, which are given by their service's name.

    Raises:
        MissingError: NARROWER says too little, or has a row too many.
    """
    found = []
    for service, document in documents.items():
        for path, item in document["paths"].items():
            for method, operation in item.items():
                found.append(_row(service, f"{method.upper()} {path}", operation))
    unknown = NARROWER.keys() - {row.name for row in found}
    if unknown:
        raise MissingError(f"tools/access.py: NARROWER has what is no operation: {sorted(unknown)}")
    return found


def _row(service: str, name: str, operation: Mapping[str, Any]) -> Row:
    match = _who(operation["description"])
    if match is None:
        raise MissingError(f"{name}: its description does not end with who may")
    who = match["who"] + (f" ({match['note']})" if match["note"] else "")
    if operation["security"] != [{"bearer": []}]:
        return Row(service, name, who, (YES,) * len(COLUMNS))
    named = match["who"].split(", ")
    narrower = NARROWER.get(name)
    if narrower is None and match["note"]:
        raise MissingError(
            f"{name} is for {who!r}: say in NARROWER of tools/access.py what that means for another"
            " patient, the own patient, another doctor and the own doctor"
        )
    asked = narrower[:4] if narrower else tuple(YES if role in named else "403" for role in _ROLES)
    admin = YES if "admin" in named else "403"
    if narrower and len(narrower) > len(_ROLES):
        admin = narrower[-1]
    disabled = asked[0]
    if service == "users":
        disabled = "401" if "patient" in named else "403"
    return Row(service, name, who, ("401", *asked, admin, disabled))


def page(documents: Mapping[str, Any]) -> str:
    """The whole of docs/access.md. Raises MissingError."""
    lines = [_INTRODUCTION]
    header = ("operation", "service", "who", *COLUMNS)
    lines.append(_line(header))
    lines.append(_line(["---"] * len(header)))
    lines += [
        _line((f"`{row.name}`", row.service, row.who, *row.expected)) for row in rows(documents)
    ]
    return "\n".join(lines) + "\n"


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"
