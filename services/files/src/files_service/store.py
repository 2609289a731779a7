"""The port to where files lie: what the use cases need of an object store, and nothing more."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from files_service.domain import File, Index, UploadForm


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """An index as it was loaded; `tag` identifies its content, None if none is stored yet."""

    index: Index
    tag: str | None


@dataclass(frozen=True, slots=True)
class Upload:
    """An object that arrived: one immutable version, and what was sent along with it."""

    version: str
    size_bytes: int
    content_type: str
    sha256: str
    """As announced, by the object's metadata: not yet verified."""


class FileStore(Protocol):
    """Three rooms: what arrives, what was verified, and an index an appointment.

    Every method raises StoreUnavailableError if the store is away; whatever was under way then has
    happened entirely or not at all, and can be tried again.
    """

    async def load_index(self, appointment_id: str) -> StoredIndex:
        """The appointment's index, an empty one if none was ever saved."""

    async def save_index(self, index: Index, tag: str | None) -> None:
        """Replaces the index that was loaded with `tag`. Raises IndexConflictError."""

    async def sign_upload(self, file: File, lifetime: timedelta) -> UploadForm:
        """A form that takes exactly this file: key, type, size and metadata are fixed."""

    async def find_upload(self, file: File) -> Upload | None:
        """The version that arrived last, None if none did."""

    def read_upload(self, file: File, version: str) -> AsyncIterator[bytes]:
        """The bytes of one version in chunks. Raises NotUploadedError if it is gone."""

    async def discard_upload(self, file: File, version: str) -> None:
        """Removes one version of what arrived, for good."""

    async def publish(self, file: File, version: str) -> str:
        """Copies one verified version to where files are read; answers the copy's own version.

        Raises:
            NotUploadedError: the version is gone.
        """

    async def is_published(self, file: File) -> bool:
        """Whether the file lies where files are read."""

    async def unpublish(self, file: File, version: str) -> None:
        """Takes back one version that was published, for good."""

    async def withdraw(self, file: File) -> None:
        """Deletes the published file; its versions stay for the retention period."""

    async def sign_download(self, file: File, disposition: str, lifetime: timedelta) -> str:
        """A URL that reads the published file, with its type and this `Content-Disposition`."""

    async def erase(self, appointment_id: str) -> bool:
        """Deletes versions of all that there is of an appointment, for good and so many at once.

        The index goes first, so nothing can be read of it any more. Whether there may be more.
        """

    async def check(self) -> None:
        """Raises StoreUnavailableError unless the store can be used."""
