"""A log tells of an exception what it was and where, and quotes nothing of it."""

import sqlite3

import aiohttp
import pydantic
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pymysql.err import DataError
from yarl import URL

from telemetry.tracebacks import traceback_of

CANARY = "ada.lovelace@patients.example"


def raised(error: BaseException) -> str:
    try:
        raise error
    except BaseException as caught:
        return traceback_of(caught)


def from_sqlite(statement: str) -> Exception:
    with sqlite3.connect(":memory:") as connection, pytest.raises(sqlite3.Error) as caught:
        connection.execute(statement)
    connection.close()
    return caught.value


def from_pydantic() -> Exception:
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(int).validate_python(CANARY)
    return caught.value


def of_aws(code: str) -> Exception:
    answer = {"Error": {"Code": code, "Message": f"the value {CANARY} is not acceptable"}}
    error: Exception = ClientError(answer, "PutItem")
    return error


def of_http() -> Exception:
    url = URL(f"http://files/a?X-Amz-Signature={CANARY}")
    request = aiohttp.RequestInfo(url, "GET", headers=None, real_url=url)  # type: ignore[arg-type]
    return aiohttp.ClientResponseError(request, (), status=418, message=CANARY)


@pytest.mark.parametrize(
    ("error", "last_line"),
    [
        (ValueError(f"no number: {CANARY}"), "ValueError"),
        (KeyError(CANARY), "KeyError"),
        (KeyError(12), "KeyError"),
        (UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, CANARY), "UnicodeDecodeError"),
        (ConnectionRefusedError(111, CANARY), "ConnectionRefusedError (ECONNREFUSED)"),
        (FileNotFoundError(2, "no file", CANARY), "FileNotFoundError (ENOENT)"),
        (DataError(1366, f"Incorrect string value: '{CANARY}'"), "pymysql.err.DataError (1366)"),
        (from_sqlite(f"SELECT '{CANARY}"), "sqlite3.OperationalError (SQLITE_ERROR)"),
        (from_pydantic(), "pydantic_core._pydantic_core.ValidationError"),
        (of_http(), "aiohttp.client_exceptions.ClientResponseError (418)"),
        (of_aws("ValidationException"), "botocore.exceptions.ClientError (PutItem, Validation"),
        (of_aws(CANARY), "botocore.exceptions.ClientError (PutItem)"),
        (
            EndpointConnectionError(endpoint_url=f"http://s3/{CANARY}"),
            "botocore.exceptions.EndpointConnectionError",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_exception_is_told_by_its_type_and_codes(error: Exception, last_line: str) -> None:
    said = raised(error)
    assert said.splitlines()[-1].startswith(last_line)
    assert "raise error" in said, "the line of source tells where it was"
    assert CANARY not in said


def test_notes_are_not_told_either() -> None:
    error = ValueError("bad")
    error.add_note(CANARY)
    assert CANARY not in raised(error)


def test_what_led_to_it_is_told_before_it() -> None:
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as key:
            raise LookupError(CANARY) from key
    except LookupError:
        said = raised(ValueError(CANARY))
    kinds = [line for line in said.splitlines() if line.endswith("Error")]
    assert kinds == ["KeyError", "LookupError", "ValueError"]
    assert said.index("direct cause") < said.index("During handling")
    assert CANARY not in said


def test_what_is_raised_from_none_is_told_alone() -> None:
    try:
        raise KeyError(CANARY)
    except KeyError:
        try:
            raise ValueError(CANARY) from None
        except ValueError as error:
            said = traceback_of(error)
    assert "KeyError" not in [line.strip() for line in said.splitlines()]


def test_a_chain_that_bites_its_tail_ends() -> None:
    one, other = ValueError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one
    assert traceback_of(one).splitlines()[-1] == "ValueError"


def test_of_a_group_each_member_is_told() -> None:
    group = ExceptionGroup(CANARY, [ValueError(CANARY), OSError(32, CANARY)])
    said = raised(group)
    assert said.splitlines()[-3:] == [
        "ExceptionGroup",
        "  | ValueError",
        "  | BrokenPipeError (EPIPE)",
    ]
    assert CANARY not in said
