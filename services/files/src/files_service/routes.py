"""Every endpoint, once; and what each domain error is on the wire."""

from files_service import errors, handlers, schemas
from files_service.errors import (
    AppointmentsUnavailableError,
    ForbiddenError,
    NotFoundError,
    StoreUnavailableError,
    VersionMismatchError,
)
from servicekit.auth import people, services
from servicekit.operations import AnyOperation, Operation
from servicekit.problems import (
    FORBIDDEN,
    INVALID_TOKEN,
    NOT_FOUND,
    STORE_UNAVAILABLE,
    VERSION_MISMATCH,
    Problem,
)

PROBLEMS: dict[type[Exception], Problem] = {
    NotFoundError: NOT_FOUND,
    ForbiddenError: FORBIDDEN,
    errors.TokenRefusedError: INVALID_TOKEN,
    VersionMismatchError: VERSION_MISMATCH,
    StoreUnavailableError: STORE_UNAVAILABLE,
    AppointmentsUnavailableError: Problem(
        503, "appointments_unavailable", "Who may see the appointment can't be known just now"
    ),
    errors.BadFilenameError: Problem(422, "bad_filename", "That can't be a file's name"),
    errors.TypeNotAllowedError: Problem(422, "type_not_allowed", "Files of this type aren't taken"),
    errors.EmptyFileError: Problem(422, "empty", "The file is empty"),
    errors.TooLargeError: Problem(422, "too_large", "The file is too large"),
    errors.TooManyFilesError: Problem(
        409, "too_many_files", "The appointment has as many files as it can have"
    ),
    errors.NotUploadedError: Problem(409, "not_uploaded", "The file's bytes haven't arrived"),
    errors.NotAvailableError: Problem(409, "not_available", "The file can't be read yet"),
    errors.ChecksumMismatchError: Problem(
        422, "checksum_mismatch", "The bytes aren't those that were announced"
    ),
    errors.ContentMismatchError: Problem(
        422, "content_mismatch", "The bytes aren't of the type they claim"
    ),
}

_WHO = people(note="who may see the appointment")
_ALWAYS = (NotFoundError, AppointmentsUnavailableError, StoreUnavailableError)
_FILE = "/v1/files/{appointment_id}/{file_id}"

OPERATIONS: list[AnyOperation] = [
    Operation(
        method="POST",
        path="/v1/files",
        handler=handlers.create_file,
        access=_WHO,
        summary="Announce a file and get a form to upload it with",
        description=(
            "The form is a pre-signed POST to the object store for exactly this key, type, size "
            "and checksum, good for 15 minutes. Upload, then complete."
        ),
        body=schemas.FileCreate,
        answers={201: schemas.FileCreated},
        problems=(
            *_ALWAYS,
            errors.BadFilenameError,
            errors.TypeNotAllowedError,
            errors.EmptyFileError,
            errors.TooLargeError,
            errors.TooManyFilesError,
        ),
    ),
    Operation(
        method="GET",
        path="/v1/files",
        handler=handlers.list_files,
        access=_WHO,
        summary="List an appointment's available files, oldest first",
        query=schemas.ListFiles,
        answers={200: schemas.FilePage},
        problems=_ALWAYS,
    ),
    Operation(
        method="POST",
        path=_FILE + "/complete",
        handler=handlers.complete_file,
        access=_WHO,
        summary="Verify what was uploaded and make it available",
        description=(
            "Checks size, SHA-256 and real content. What is refused is deleted, and may be "
            "uploaded again while the form is good. Completing a completed file changes nothing."
        ),
        answers={200: schemas.File},
        problems=(
            *_ALWAYS,
            errors.NotUploadedError,
            errors.ChecksumMismatchError,
            errors.ContentMismatchError,
        ),
        versioned=True,
        # 50 MiB are read from the object store; below what a load balancer waits for an answer.
        deadline=50.0,
    ),
    Operation(
        method="GET",
        path=_FILE,
        handler=handlers.get_file,
        access=_WHO,
        summary="Read one file's description",
        answers={200: schemas.File},
        problems=_ALWAYS,
        versioned=True,
    ),
    Operation(
        method="GET",
        path=_FILE + "/download",
        handler=handlers.download_file,
        access=_WHO,
        summary="Get a URL to read the file by",
        description="The URL is good for 5 minutes; with `redirect=true` the answer leads to it.",
        query=schemas.DownloadFile,
        answers={200: schemas.FileDownload, 302: None},
        problems=(*_ALWAYS, errors.NotAvailableError),
    ),
    Operation(
        method="DELETE",
        path=_FILE,
        handler=handlers.delete_file,
        access=people(note="its uploader, and admins"),
        summary="Delete a file",
        description="Its stored versions stay for the retention period.",
        answers={204: None},
        problems=(*_ALWAYS, ForbiddenError),
        versioned=True,
    ),
    Operation(
        method="POST",
        path="/v1/files/erasures/{appointment_id}",
        handler=handlers.erase_files,
        access=services("erase"),
        summary="Delete all files of an appointment whose patient's account is closed",
        description="Every version of them, pending ones too, some with each call. To be called "
        "until nothing remains; may be repeated.",
        answers={200: schemas.Erased},
        problems=(StoreUnavailableError,),
    ),
]
