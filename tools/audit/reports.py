"""No object under `clean/` without a checksum that was verified (invariant 7), over files' bucket.

An object is entered in its appointment's index with the checksum that was announced, and comes
under `clean/` only after its content had it. So each object must be in an index, in the size that
is written there; in a deep audit its content is read, and has the checksum. One that is pending
or deleted was verified, too: whoever copied or deleted it was cut off, and nobody is given an
address of it. What is listed as available must be there: that was answered (4).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Final

from appointments_service.domain.invariants import ANSWER, Breach
from appointments_service.service.auditing import LOOK_AGAIN_SECONDS, confirmed
from files_service.domain import File, Index
from files_service.store_s3 import MissingError, S3FileStore, classified

CHECKSUM = 7

_CLEAN, _INDEX, _INDEX_END = "clean/", "index/", ".json"
_AT_ONCE: Final = 8
_CHUNK_BYTES: Final = 256 * 1024


class Reports:
    """Checks one bucket, appointment by appointment, while it is in use.

    Args:
        client: of S3, open.
        deep: whether the contents are read.
        look_again: the pauses, in seconds, before each look at an appointment that is wrong.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        *,
        deep: bool = False,
        look_again: Sequence[float] = LOOK_AGAIN_SECONDS,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._store = S3FileStore(client, client, bucket)
        self._deep = deep
        self._look_again = look_again
        self._progress = progress

    async def run(self) -> tuple[Counter[str], list[Breach]]:
        """How many reports there are, and what is wrong.

        Raises StoreUnavailableError of files.
        """
        seen: Counter[str] = Counter()
        appointments: set[str] = set()
        async for key, _ in self._objects(_CLEAN):
            seen["reports"] += 1
            appointments.add(key.removeprefix(_CLEAN).partition("/")[0])
        async for key, _ in self._objects(_INDEX):
            seen["indexes of reports"] += 1
            appointments.add(key.removeprefix(_INDEX).removesuffix(_INDEX_END))
        room = asyncio.Semaphore(_AT_ONCE)
        done = 0

        async def check(appointment_id: str) -> list[Breach]:
            nonlocal done
            async with room:
                found = await confirmed(partial(self._look, appointment_id), self._look_again)
            done += 1
            self._progress(f"reports of {done:,} of {len(appointments):,} appointments")
            return found

        found = await asyncio.gather(*map(check, sorted(appointments)))
        return seen, [breach for breaches in found for breach in breaches]

    async def _look(self, appointment_id: str) -> list[Breach]:
        """What is wrong with an appointment's reports as they are now."""
        prefix = f"{_CLEAN}{appointment_id}/"
        there = {key.removeprefix(prefix): size async for key, size in self._objects(prefix)}
        try:
            index = (await self._store.load_index(appointment_id)).index
        except (KeyError, ValueError, TypeError) as error:
            what = f"it can't be read: {type(error).__name__}: {error}"
            return [Breach(CHECKSUM, f"index of reports of appointment {appointment_id}", what)]
        breaches = [
            Breach(CHECKSUM, f"report {prefix}{file_id}", fault)
            for file_id, size in there.items()
            if (fault := await self._fault(index, file_id, size)) is not None
        ]
        lost = [file.id for file in index.available() if file.id not in there]
        what = "it is listed as available, and isn't there"
        return breaches + [Breach(ANSWER, f"report {prefix}{file_id}", what) for file_id in lost]

    async def _fault(self, index: Index, file_id: str, size: int) -> str | None:
        file = index.files.get(file_id)
        if file is None:
            return "no index tells its checksum"
        if size != file.size_bytes:
            return f"it has {size} bytes, verified were {file.size_bytes}"
        if self._deep and not await self._has_checksum(file):
            return "its content has another checksum than the one that was verified"
        return None

    async def _has_checksum(self, file: File) -> bool:
        """Whether the content is as announced; also if it is gone, which the next look will see."""
        digest = hashlib.sha256()
        key = f"{_CLEAN}{file.appointment_id}/{file.id}"
        try:
            with classified():
                answer = await self._client.get_object(Bucket=self._bucket, Key=key)
                async with answer["Body"] as body:
                    async for chunk in body.content.iter_chunked(_CHUNK_BYTES):
                        digest.update(chunk)
        except MissingError:
            return True
        return digest.hexdigest() == file.sha256

    async def _objects(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        """Keys and sizes of what is there now; deleted and former versions are not."""
        start: dict[str, str] = {}
        while True:
            with classified():
                page = await self._client.list_objects_v2(
                    Bucket=self._bucket, Prefix=prefix, **start
                )
            for listed in page.get("Contents", ()):
                yield listed["Key"], listed["Size"]
            if not page.get("IsTruncated"):
                return
            start = {"ContinuationToken": page["NextContinuationToken"]}
