"""The rules of files and of their index, and the document that is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files_service.content import ALLOWED_TYPES
from files_service.domain import (
    MAX_FILE_BYTES,
    MAX_FILES,
    PENDING_LIFETIME,
    File,
    Index,
    Scan,
    Status,
    check_announced,
)
from files_service.errors import (
    BadFilenameError,
    EmptyFileError,
    NotFoundError,
    TooLargeError,
    TooManyFilesError,
    TypeNotAllowedError,
    VersionMismatchError,
)
from files_service.index_document import decode_index, encode_index

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
RETENTION = timedelta(days=30)


def a_file(file_id: str = "f1", **changes: Any) -> File:
    values: dict[str, Any] = {
        "id": file_id,
        "appointment_id": "a1",
        "filename": "report.pdf",
        "content_type": "application/pdf",
        "size_bytes": 3,
        "sha256": "0" * 64,
        "uploaded_by": "p1",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return File(**(values | changes))


def test_what_may_be_announced() -> None:
    for content_type in ALLOWED_TYPES:
        check_announced("a.bin", content_type, 1)
        check_announced("a.bin", content_type, MAX_FILE_BYTES)
    with pytest.raises(BadFilenameError):
        check_announced("..", "image/png", 1)
    with pytest.raises(TypeNotAllowedError):
        check_announced("a.bin", "text/html", 1)
    with pytest.raises(EmptyFileError):
        check_announced("a.bin", "image/png", 0)
    with pytest.raises(TooLargeError):
        check_announced("a.bin", "image/png", MAX_FILE_BYTES + 1)


def test_every_change_raises_the_version() -> None:
    later = NOW + timedelta(minutes=1)
    available = a_file().made_available(later)
    deleted = available.deleted(later, "s1")

    assert (available.status, available.version, available.updated_at) == (
        Status.AVAILABLE,
        2,
        later,
    )
    assert (deleted.version, deleted.deleted_at, deleted.deleted_by) == (3, later, "s1")
    available.require_version(None)
    available.require_version({2, 5})
    with pytest.raises(VersionMismatchError):
        available.require_version(set())
    with pytest.raises(VersionMismatchError):
        available.require_version({1, 3})


def test_a_deleted_file_is_not_found() -> None:
    index = Index("a1").adding(a_file().made_available(NOW).deleted(NOW, "p1"))
    for file_id in ("f1", "f2"):
        with pytest.raises(NotFoundError):
            index.find(file_id)
    assert index.available() == []


def test_only_available_files_are_listed_in_the_order_of_their_making() -> None:
    files = [a_file("f3"), a_file("f2").made_available(NOW), a_file("f1").made_available(NOW)]
    index = Index("a1", {file.id: file for file in files})
    assert [file.id for file in index.available()] == ["f1", "f2"]


def test_an_appointment_has_a_bounded_number_of_files() -> None:
    index = Index("a1", {f"f{n}": a_file(f"f{n}") for n in range(MAX_FILES)})
    with pytest.raises(TooManyFilesError):
        index.adding(a_file("more"))
    index.without("f0").adding(a_file("more"))


def test_what_is_over_is_pruned_at_its_very_moment() -> None:
    files = {
        "pending": a_file("pending"),
        "available": a_file("available").made_available(NOW),
        "marker": a_file("marker").made_available(NOW).deleted(NOW, "p1"),
    }
    index = Index("a1", files)
    just_before = timedelta(microseconds=1)

    def left_at(moment: datetime) -> set[str]:
        return set(index.pruned(moment, RETENTION).files)

    assert left_at(NOW + PENDING_LIFETIME - just_before) == {"pending", "available", "marker"}
    assert left_at(NOW + PENDING_LIFETIME) == {"available", "marker"}
    assert left_at(NOW + RETENTION - just_before) == {"available", "marker"}
    assert left_at(NOW + RETENTION) == {"available"}


_instants = st.datetimes(timezones=st.just(UTC))
_files = st.builds(
    File,
    id=st.text(alphabet="0123456789abc", min_size=1, max_size=8),
    appointment_id=st.just("a1"),
    filename=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20),
    content_type=st.sampled_from(sorted(ALLOWED_TYPES)),
    size_bytes=st.integers(1, MAX_FILE_BYTES),
    sha256=st.just("0f" * 32),
    uploaded_by=st.text(alphabet="abc", min_size=1),
    status=st.sampled_from(Status),
    scan=st.sampled_from(Scan),
    version=st.integers(1, 1000),
    created_at=_instants,
    updated_at=_instants,
    deleted_at=st.none() | _instants,
    deleted_by=st.none() | st.text(alphabet="abc", min_size=1),
)


@given(st.lists(_files, max_size=5))
def test_an_index_is_read_back_as_it_was_written(files: list[File]) -> None:
    index = Index("a1", {file.id: file for file in files})
    assert decode_index(encode_index(index)) == index


def test_an_index_of_another_format_is_refused() -> None:
    document = json.loads(encode_index(Index("a1"))) | {"format": 2}
    with pytest.raises(ValueError, match="format 2"):
        decode_index(json.dumps(document).encode())
