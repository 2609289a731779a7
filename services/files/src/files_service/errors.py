"""What can go wrong, in the domain's words; `routes.py` says what each is on the wire."""


class FilesError(Exception):
    """The base of all that this service refuses."""


class NotFoundError(FilesError):
    """No such appointment or file, or none that this caller may know of: nobody can tell which."""


class TokenRefusedError(FilesError):
    """The caller's token is good here and not at the service that must be asked."""


class ForbiddenError(FilesError):
    """The caller may see the file and not do this to it."""


class VersionMismatchError(FilesError):
    """The file isn't in a version that the caller's `If-Match` admits."""


class BadFilenameError(FilesError):
    """The name can't be a file's name everywhere, or hides what it is."""


class TypeNotAllowedError(FilesError):
    """Files of this media type aren't taken."""


class EmptyFileError(FilesError):
    """A file has at least one byte."""


class TooLargeError(FilesError):
    """The file is larger than this service takes."""


class TooManyFilesError(FilesError):
    """The appointment has as many files as it can have."""


class NotUploadedError(FilesError):
    """The file is announced, and its bytes haven't arrived."""


class NotAvailableError(FilesError):
    """The file can't be read yet, or not any more."""


class RefusedContentError(FilesError):
    """What was uploaded isn't what was announced; it has been deleted."""


class ChecksumMismatchError(RefusedContentError):
    """Size or SHA-256 differ from those announced."""


class ContentMismatchError(RefusedContentError):
    """The bytes aren't of the type that they claim."""


class IndexConflictError(FilesError):
    """Somebody else has changed the appointment's index since it was loaded."""


class StoreUnavailableError(FilesError):
    """The object store is away, refuses us, or didn't answer in time."""


class AppointmentsUnavailableError(FilesError):
    """The appointments service can't be asked just now, so nobody knows who may."""
