"""The table of who may do what, from documents that are made up."""

from typing import Any

import pytest

from tools import access

_SIGNED_IN: list[dict[str, list[str]]] = [{"bearer": []}]


def rows(
    monkeypatch: pytest.MonkeyPatch,
    description: str,
    *,
    security: Any = _SIGNED_IN,
    service: str = "files",
    narrower: Any = None,
) -> tuple[str, ...]:
    monkeypatch.setattr(access, "NARROWER", {"GET /a": narrower} if narrower else {})
    operation = {"description": description, "security": security}
    (row,) = access.rows({service: {"paths": {"/a": {"get": operation}}}})
    return row.expected


def test_what_anyone_may_is_open_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    choices: list[Any] = [[], [{}, {"bearer": []}]]
    for security in choices:
        expected = rows(monkeypatch, "Text. Who: anyone (a note).", security=security)
        assert expected == ("yes",) * 7


def test_without_a_note_the_role_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rows(monkeypatch, "Who: admin, doctor.")
    assert expected == ("401", "403", "403", "yes", "yes", "yes", "403")
    expected = rows(monkeypatch, "Who: a service with the scope erase.")
    assert expected == ("401", "403", "403", "403", "403", "403", "403")


def test_the_disabled_are_refused_by_users_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = "Who: admin, doctor, patient."
    assert rows(monkeypatch, everybody)[-1] == "yes"
    assert rows(monkeypatch, everybody, service="users")[-1] == "401"
    assert rows(monkeypatch, "Who: admin.", service="users")[-1] == "403"


def test_a_note_needs_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = "Who: admin, doctor, patient (its own)."
    with pytest.raises(access.MissingError, match=r"GET /a .*its own.*NARROWER of tools/access.py"):
        rows(monkeypatch, noted)
    expected = rows(monkeypatch, noted, narrower=("404", "yes", "403", "yes"))
    assert expected == ("401", "404", "yes", "403", "yes", "yes", "404")


def test_a_row_of_no_operation_is_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "NARROWER", {"GET /gone": ("404", "yes", "403", "yes")})
    with pytest.raises(access.MissingError, match="GET /gone"):
        access.rows({})


def test_who_may_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(access.MissingError, match="GET /a"):
        rows(monkeypatch, "It does something.")
