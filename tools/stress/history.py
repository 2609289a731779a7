"""What was asked and answered, in the order in which it happened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from tools.stress.oracle import Rules

NEVER = 1 << 62
"""A return later than any: of a request that nobody knows the end of."""


@dataclass(frozen=True)
class Request:
    """What an operation asks.

    Attributes:
        kind: book, override, series, move, cancel, cancel_series, check_in, complete, no_show,
            hours or read.
        mark: a text of its own in each request, by which its effects are known afterwards: the
            reason of a booking, the note of a cancellation, the id of the staff that did the rest.
            A request that is sent again keeps it.
        starts: the wanted start in Unix seconds; of a series the first one.
        count: how many appointments a series is to have.
        target: the appointment that is to be changed or read.
        if_match: the version that it must have.
        key: the idempotency key.
    """

    kind: str
    mark: str
    method: str
    path: str
    caller: tuple[str, str]
    doctor: str
    patient: str = ""
    body: dict[str, Any] | None = None
    starts: int | None = None
    count: int = 1
    target: str | None = None
    if_match: int | None = None
    key: str | None = None


@dataclass
class Operation:
    """One request and what came back.

    Attributes:
        called, returned: places in one order of all calls and returns; NEVER without an answer.
        now, later: the clinic's clock at the call and at the return.
        status: of the answer, 0 if there was none.
        hung: whether the answer was waited for in vain, over a connection that held.
    """

    request: Request
    called: int
    now: datetime
    returned: int = NEVER
    later: datetime | None = None
    status: int = 0
    body: bytes = b""
    replayed: bool = False
    hung: bool = False

    @property
    def in_doubt(self) -> bool:
        """Whether it may have taken effect or not, or may yet do so."""
        return self.status == 0 or self.status >= 500

    @property
    def done(self) -> bool:
        """Whether it was answered that it took effect."""
        return 200 <= self.status < 300

    @cached_property
    def document(self) -> dict[str, Any]:
        """The answer's JSON."""
        document: dict[str, Any] = json.loads(self.body) if self.body else {}
        return document

    @property
    def code(self) -> str | None:
        """Of a refusal."""
        return None if self.done or self.in_doubt else self.document.get("code")

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The appointments that the answer shows."""
        if not self.done or self.request.kind == "hours":
            return []
        items: list[dict[str, Any]] = self.document.get("items", [self.document])
        return items

    def __str__(self) -> str:
        request = self.request
        answer = self.code or self.status or "no answer"
        return f"{request.kind} {request.mark} ({request.method} {request.path}: {answer})"


@dataclass(frozen=True)
class Regime:
    """Rules of a doctor that came into force some time from `called` to `returned`, for certain
    after it; until the next regime's, for certain, and perhaps until that one's `returned`.
    """

    rules: Rules
    called: int
    returned: int


@dataclass(frozen=True)
class Version:
    """One version of an appointment, as the table tells it after everything has come to rest.

    Attributes:
        mark: of the request that made it so (see `Request`).
    """

    number: int
    status: str
    starts: int
    mark: str


@dataclass(frozen=True)
class Kept:
    """An appointment in the table, with all that it ever was."""

    id: str
    doctor: str
    patient: str
    override: bool
    series: str | None
    versions: tuple[Version, ...]


@dataclass
class History:
    """A run: operations, the hours that were in force, and what was left in the table."""

    operations: list[Operation] = field(default_factory=list)
    regimes: dict[str, list[Regime]] = field(default_factory=dict)
    kept: Sequence[Kept] = ()
