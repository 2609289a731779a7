"""The wire: what callers send and get."""

from typing import Annotated

from pydantic import Field, StringConstraints

from files_service import domain
from files_service.domain import Announced, Announcement, Download, Scan, Status
from servicekit.paging import Page, Paged
from servicekit.wire import Id, Instant, Query, Wire


class FileCreate(Wire):
    """A file that is about to be uploaded."""

    appointment_id: Id
    filename: Annotated[str, Field(description="1 to 255 bytes of UTF-8, no path")]
    content_type: Annotated[
        str, Field(description=f"One of {', '.join(sorted(domain.ALLOWED_TYPES))}")
    ]
    size_bytes: Annotated[int, Field(ge=0, description=f"1 to {domain.MAX_FILE_BYTES}")]
    sha256: Annotated[
        str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$"), Field(description="hexadecimal")
    ]

    def announcement(self) -> Announcement:
        """In the service's terms, with what is written in two ways in one of them."""
        return Announcement(
            appointment_id=self.appointment_id,
            filename=self.filename,
            content_type=self.content_type.lower(),
            size_bytes=self.size_bytes,
            sha256=self.sha256.lower(),
        )


class File(Wire):
    """A file of an appointment."""

    id: Id
    appointment_id: Id
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    uploaded_by: Id
    status: Status
    scan: Scan
    version: int
    created_at: Instant

    @classmethod
    def of(cls, file: domain.File) -> "File":
        """A file as callers see it."""
        return cls(
            id=file.id,
            appointment_id=file.appointment_id,
            filename=file.filename,
            content_type=file.content_type,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            uploaded_by=file.uploaded_by,
            status=file.status,
            scan=file.scan,
            version=file.version,
            created_at=file.created_at,
        )


class Upload(Wire):
    """A form that S3 takes as multipart/form-data: all `fields`, and `file` as the last."""

    url: str
    fields: dict[str, str]
    expires_at: Instant


class FileCreated(Wire):
    """A pending file, and how to upload it."""

    file: File
    upload: Upload

    @classmethod
    def of(cls, announced: Announced) -> "FileCreated":
        """What is answered to an announcement."""
        form = announced.form
        upload = Upload(url=form.url, fields=dict(form.fields), expires_at=announced.expires_at)
        return cls(file=File.of(announced.file), upload=upload)


class FileDownload(Wire):
    """A URL that reads the file, as an attachment with its name."""

    url: str
    expires_at: Instant

    @classmethod
    def of(cls, download: Download) -> "FileDownload":
        """What is answered where no redirect is asked for."""
        return cls(url=download.url, expires_at=download.expires_at)


class FilePage(Page[File]):
    """One page of an appointment's available files."""


class Erased(Wire):
    """How far an erasure has come; `remaining`: call again, there may be more to do."""

    remaining: bool


class ListFiles(Paged):
    """Which files."""

    appointment_id: Id


class DownloadFile(Query):
    """How the URL is answered."""

    redirect: Annotated[bool, Field(description="302 to the URL instead")] = False
