"""Files of an appointment, the index that lists them, and the rules of both; no I/O."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from files_service.content import ALLOWED_TYPES
from files_service.errors import (
    EmptyFileError,
    NotFoundError,
    TooLargeError,
    TooManyFilesError,
    TypeNotAllowedError,
    VersionMismatchError,
)
from files_service.filenames import check_filename

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_FILES = 500
"""Of one appointment, those deleted within the retention period included: it bounds the index."""
UPLOAD_LIFETIME = timedelta(minutes=15)
DOWNLOAD_LIFETIME = timedelta(minutes=5)
PENDING_LIFETIME = timedelta(days=2)
"""The bucket's lifecycle, in whole days UTC, has removed what wasn't completed by then."""


class Status(StrEnum):
    """How far a file has come."""

    PENDING = "pending"
    AVAILABLE = "available"
    REJECTED = "rejected"


class Scan(StrEnum):
    """What a scanner for malware has said."""

    UNSCANNED = "unscanned"
    PENDING = "pending"
    CLEAN = "clean"
    INFECTED = "infected"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of an appointment; with `deleted_at`, the marker of one that was."""

    id: str
    appointment_id: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    """64 lower-case hexadecimal digits."""
    uploaded_by: str
    status: Status = Status.PENDING
    scan: Scan = Scan.UNSCANNED
    version: int = 1
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    deleted_by: str | None = None

    def require_version(self, admitted: Collection[int] | None) -> None:
        """Raises VersionMismatchError unless this version is admitted; None admits any."""
        if admitted is not None and self.version not in admitted:
            raise VersionMismatchError(f"the file is in version {self.version}")

    def made_available(self, now: datetime) -> "File":
        """The file once its content was verified."""
        return replace(self, status=Status.AVAILABLE, version=self.version + 1, updated_at=now)

    def deleted(self, now: datetime, by: str) -> "File":
        """The marker that remains of it."""
        return replace(
            self, version=self.version + 1, updated_at=now, deleted_at=now, deleted_by=by
        )


@dataclass(frozen=True, slots=True)
class Announcement:
    """A file that somebody is about to upload."""

    appointment_id: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class UploadForm:
    """A POST that the store will take: where to, and the form's fields before `file`."""

    url: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Announced:
    """A pending file, and the form by which its bytes can be sent until `expires_at`."""

    file: File
    form: UploadForm
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Download:
    """A URL that reads a file until `expires_at`."""

    url: str
    expires_at: datetime


def check_announced(filename: str, content_type: str, size_bytes: int) -> None:
    """The rules for a file that is to be uploaded.

    Raises:
        BadFilenameError, TypeNotAllowedError, EmptyFileError, TooLargeError: each with why.
    """
    check_filename(filename)
    if content_type not in ALLOWED_TYPES:
        raise TypeNotAllowedError(f"allowed are {', '.join(sorted(ALLOWED_TYPES))}")
    if size_bytes < 1:
        raise EmptyFileError("a file has at least one byte")
    if size_bytes > MAX_FILE_BYTES:
        raise TooLargeError(f"at most {MAX_FILE_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class Index:
    """All files of one appointment by their ids, which are in the order of their making."""

    appointment_id: str
    files: Mapping[str, File] = field(default_factory=dict)

    def find(self, file_id: str) -> File:
        """The file, pending or available. Raises NotFoundError, also for a deleted one."""
        file = self.files.get(file_id)
        if file is None or file.deleted_at is not None:
            raise NotFoundError
        return file

    def available(self) -> list[File]:
        """The files that can be read, oldest first."""
        readable = (f for f in self.files.values() if f.deleted_at is None)
        return sorted((f for f in readable if f.status is Status.AVAILABLE), key=lambda f: f.id)

    def adding(self, file: File) -> "Index":
        """With a new file. Raises TooManyFilesError."""
        if len(self.files) >= MAX_FILES:
            raise TooManyFilesError(f"an appointment has at most {MAX_FILES} files")
        return self.replacing(file)

    def replacing(self, file: File) -> "Index":
        """With a file in its new version."""
        return replace(self, files={**self.files, file.id: file})

    def without(self, file_id: str) -> "Index":
        """Without any trace of a file."""
        return replace(self, files={k: f for k, f in self.files.items() if k != file_id})

    def pruned(self, now: datetime, retention: timedelta) -> "Index":
        """Without files that were never completed, and markers older than what they mark."""
        return replace(
            self,
            files={
                key: file for key, file in self.files.items() if not _is_over(file, now, retention)
            },
        )


def _is_over(file: File, now: datetime, retention: timedelta) -> bool:
    if file.deleted_at is not None:
        return file.deleted_at + retention <= now
    return file.status is Status.PENDING and file.created_at + PENDING_LIFETIME <= now
