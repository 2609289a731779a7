"""The use cases: announce, complete, list, read, download, delete."""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol

from files_service.content import ContentInspector
from files_service.domain import (
    DOWNLOAD_LIFETIME,
    UPLOAD_LIFETIME,
    Announced,
    Announcement,
    Download,
    File,
    Index,
    Status,
    check_announced,
)
from files_service.errors import (
    ChecksumMismatchError,
    ContentMismatchError,
    ForbiddenError,
    IndexConflictError,
    NotAvailableError,
    NotFoundError,
    NotUploadedError,
    RefusedContentError,
    StoreUnavailableError,
)
from files_service.filenames import attachment
from files_service.store import FileStore, StoredIndex, Upload
from servicekit.auth import Caller
from servicekit.ids import new_id

ATTEMPTS = 12
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0


class Appointments(Protocol):
    """The service that knows who may see an appointment, and so its files."""

    async def require_visible(self, appointment_id: str, token: str) -> str:
        """The id of its patient. Raises NotFoundError for a caller who may not see it.

        And TokenRefusedError, AppointmentsUnavailableError where nobody can say.
        """


Told = Callable[[str], None]
"""Learns the id of whom something is about to be told of."""


def untold(_patient_id: str) -> None:
    """For callers who tell nobody."""


class Files:
    """The use cases, over a store and the appointments service.

    Args:
        retention: for how long the versions of a deleted file, and its marker, stay.
        sleep: waits between attempts at a contended index.
        retried: told of each attempt after the first.
    """

    def __init__(
        self,
        store: FileStore,
        appointments: Appointments,
        *,
        retention: timedelta,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        retried: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._appointments = appointments
        self._retention = retention
        self._clock = clock
        self._sleep = sleep
        self._retried = retried

    async def announce(self, caller: Caller, announcement: Announcement) -> Announced:
        """Enters a pending file, and signs the form for its upload."""
        check_announced(announcement.filename, announcement.content_type, announcement.size_bytes)
        await self._appointments.require_visible(announcement.appointment_id, caller.token)
        now = self._clock()
        file = File(
            id=new_id(now),
            appointment_id=announcement.appointment_id,
            filename=announcement.filename,
            content_type=announcement.content_type,
            size_bytes=announcement.size_bytes,
            sha256=announcement.sha256,
            uploaded_by=caller.id,
            created_at=now,
            updated_at=now,
        )
        form = await self._store.sign_upload(file, UPLOAD_LIFETIME)
        await self._change(file.appointment_id, lambda index: index.adding(file))
        return Announced(file, form, now + UPLOAD_LIFETIME)

    async def complete(
        self,
        caller: Caller,
        appointment_id: str,
        file_id: str,
        admitted: Collection[int] | None = None,
    ) -> File:
        """Verifies what was uploaded and makes it readable; a completed file is just answered.

        Two at once do no harm: whatever either of them publishes has the announced SHA-256, and
        one of them enters it.

        Raises:
            NotUploadedError: there is nothing to verify.
            ChecksumMismatchError, ContentMismatchError: it was refused, and is deleted.
        """
        await self._appointments.require_visible(appointment_id, caller.token)
        stored = await self._store.load_index(appointment_id)
        file = stored.index.find(file_id)
        file.require_version(admitted)
        if file.status is not Status.PENDING:
            return file
        upload = await self._store.find_upload(file)
        if upload is None:
            raise NotUploadedError("the bytes haven't arrived")
        try:
            await self._verify(file, upload)
        except RefusedContentError:
            await self._store.discard_upload(file, upload.version)
            raise
        published = await self._store.publish(file, upload.version)
        try:
            index = await self._change(
                appointment_id, lambda index: self._completing(index, file_id, admitted), stored
            )
        except NotFoundError:
            # Deleted meanwhile: the copy came after the deletion and must not outlive it.
            await self._store.unpublish(file, published)
            raise
        return index.find(file_id)

    def _completing(self, index: Index, file_id: str, admitted: Collection[int] | None) -> Index:
        file = index.find(file_id)
        if file.status is not Status.PENDING:
            return index
        file.require_version(admitted)
        return index.replacing(file.made_available(self._clock()))

    async def _verify(self, file: File, upload: Upload) -> None:
        """Raises ChecksumMismatchError or ContentMismatchError.

        The form's policy has fixed size, type and metadata already; but not every store enforces
        each of its conditions, and here nothing is taken on trust.
        """
        if upload.size_bytes != file.size_bytes:
            raise ChecksumMismatchError(
                f"{file.size_bytes} bytes were announced, {upload.size_bytes} arrived"
            )
        if upload.content_type != file.content_type:
            raise ContentMismatchError("it was not uploaded as the type that was announced")
        if upload.sha256 != file.sha256:
            raise ChecksumMismatchError("it was not uploaded with the SHA-256 announced")
        digest = hashlib.sha256()
        inspector = ContentInspector(file.content_type)
        # Chunks are what the socket has buffered: a fraction of a millisecond of work each, so
        # other requests are served in between without a thread.
        async for chunk in self._store.read_upload(file, upload.version):
            digest.update(chunk)
            inspector.feed(chunk)
        if digest.hexdigest() != file.sha256:
            raise ChecksumMismatchError("the bytes don't have the SHA-256 announced")
        if not inspector.matches():
            raise ContentMismatchError(f"the bytes are not {file.content_type}")

    async def list_available(
        self, caller: Caller, appointment_id: str, told: Told = untold
    ) -> list[File]:
        """The files that can be read, oldest first."""
        patient_id = await self._appointments.require_visible(appointment_id, caller.token)
        stored = await self._store.load_index(appointment_id)
        told(patient_id)
        return stored.index.available()

    async def read(
        self, caller: Caller, appointment_id: str, file_id: str, told: Told = untold
    ) -> File:
        """One file, available or still pending."""
        patient_id = await self._appointments.require_visible(appointment_id, caller.token)
        stored = await self._store.load_index(appointment_id)
        file = stored.index.find(file_id)
        told(patient_id)
        return file

    async def download(
        self, caller: Caller, appointment_id: str, file_id: str, told: Told = untold
    ) -> Download:
        """A URL that reads the file. Raises NotAvailableError for a pending one."""
        file = await self.read(caller, appointment_id, file_id, told)
        if file.status is not Status.AVAILABLE:
            raise NotAvailableError(f"the file is {file.status}")
        expires_at = self._clock() + DOWNLOAD_LIFETIME
        url = await self._store.sign_download(file, attachment(file.filename), DOWNLOAD_LIFETIME)
        return Download(url, expires_at)

    async def delete(
        self,
        caller: Caller,
        appointment_id: str,
        file_id: str,
        admitted: Collection[int] | None = None,
    ) -> None:
        """Ends a file, for its uploader and the clinic's staff.

        The index comes first, as it alone makes a file readable. Should the store be away before
        the object is deleted too, the same call made again catches up on it.
        """
        await self._appointments.require_visible(appointment_id, caller.token)
        stored = await self._store.load_index(appointment_id)
        file = stored.index.files.get(file_id)
        if file is None:
            raise NotFoundError
        may = caller.role == "admin" or caller.id == file.uploaded_by
        if file.deleted_at is not None:
            if not may or not await self._store.is_published(file):
                raise NotFoundError
            await self._store.withdraw(file)
            return
        if not may:
            raise ForbiddenError("only its uploader and the clinic's staff may delete a file")
        index = await self._change(
            appointment_id,
            lambda index: self._deleting(index, file_id, caller.id, admitted),
            stored,
        )
        if file_id in index.files:
            await self._store.withdraw(file)

    async def erase(self, appointment_id: str) -> bool:
        """Deletes all files of an appointment whose patient's account is closed, for good.

        Every version goes, for this is no end of a file but of what was known of a person. Each
        call deletes some; whether there may be more. May be repeated.
        """
        return await self._store.erase(appointment_id)

    def _deleting(
        self, index: Index, file_id: str, by: str, admitted: Collection[int] | None
    ) -> Index:
        file = index.find(file_id)
        file.require_version(admitted)
        if file.status is Status.PENDING:
            return index.without(file_id)  # nothing was ever published that a marker could mark
        return index.replacing(file.deleted(self._clock(), by))

    async def _change(
        self,
        appointment_id: str,
        change: Callable[[Index], Index],
        stored: StoredIndex | None = None,
    ) -> Index:
        """Applies a change to the index by compare-and-set, on `stored` first if it is given.

        The change is computed anew on what others have saved in between. The pauses have full
        jitter, so that those who met don't meet again.

        Raises:
            StoreUnavailableError: others were faster every time.
        """
        for attempt in range(ATTEMPTS):
            if stored is None:
                stored = await self._store.load_index(appointment_id)
            changed = change(stored.index)
            if changed is stored.index:
                return changed
            try:
                await self._store.save_index(
                    changed.pruned(self._clock(), self._retention), stored.tag
                )
            except IndexConflictError:
                stored = None
                longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
                self._retried()
                await self._sleep(random.uniform(0, longest))
            else:
                return changed
        raise StoreUnavailableError("too many changes of one appointment's files at once")
