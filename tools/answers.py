"""The journal of a replay: every change that was answered 200 or 201, a line each.

A replay writes it and an audit reads it: what was answered must be there afterwards, whatever was
killed meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tools.rundir import RunDirectory


class AnswersError(Exception):
    """A file is no journal of answers."""


class Answered(NamedTuple):
    """An appointment as a successful answer to a change showed it.

    Attributes:
        source: which answer that was, for people.
        id: the appointment's public id.
        starts_at: RFC 3339, as answered.
    """

    source: str
    id: str
    version: int
    status: str
    starts_at: str

    @classmethod
    def of(cls, source: str, appointment: Mapping[str, Any]) -> Answered:
        """From an `Appointment` document. Raises KeyError if it is none."""
        return cls(
            source,
            appointment["id"],
            appointment["version"],
            appointment["status"],
            appointment["starts_at"],
        )


class AnswersJournal:
    """Appends answers to a file, a context manager; each line is written before `write` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, answered: Answered) -> None:
        """Append one answer."""
        self._file.write(json.dumps(answered._asdict()) + "\n")


def journal_of(run: RunDirectory) -> Path:
    """Where replays against a running suite write, and audits of it look."""
    return run.path / "replay" / "answers.ndjson"


def read_answers(path: Path) -> Iterator[Answered]:
    """Yield the answers of a journal. Raises AnswersError, and OSError."""
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield Answered(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise AnswersError(f"{path}, line {number}: no answer of a replay") from error
