"""The use cases where something happens in between, over a store in memory."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from files_service.domain import Announcement, File, Status
from files_service.errors import (
    ChecksumMismatchError,
    ContentMismatchError,
    FilesError,
    ForbiddenError,
    NotFoundError,
    NotUploadedError,
    StoreUnavailableError,
)
from files_service.service import ATTEMPTS, Files
from servicekit.auth import Caller
from servicekit.testing import FakeClock
from tests.files.conftest import PDF_BYTES
from tests.files.fakes import MemoryStore, OpenAppointments

PATIENT = Caller("p1", "patient", "Pat", frozenset(), "token")
DOCTOR = Caller("d1", "doctor", "Doc", frozenset(), "token")
ADMIN = Caller("s1", "admin", "Staff", frozenset(), "token")


class House:
    """The use cases over fakes; pauses are noted and not waited for."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.appointments = OpenAppointments()
        self.clock = FakeClock()
        self.pauses: list[float] = []
        self.retries: list[int] = []
        self.files = Files(
            self.store,
            self.appointments,
            retention=timedelta(days=30),
            clock=self.clock,
            sleep=self._pause,
            retried=lambda: self.retries.append(len(self.pauses)),
        )

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def pending(self, body: bytes = PDF_BYTES, content_type: str = "application/pdf") -> File:
        announced = await self.files.announce(
            PATIENT,
            Announcement("a1", "r.pdf", content_type, len(body), hashlib.sha256(body).hexdigest()),
        )
        return announced.file

    async def uploaded(self) -> File:
        file = await self.pending()
        self.store.upload(file, PDF_BYTES)
        return file

    async def available(self) -> File:
        file = await self.uploaded()
        return await self.files.complete(PATIENT, "a1", file.id)


@pytest.fixture
def house() -> House:
    return House()


async def test_a_lost_race_is_run_again_on_what_the_winner_saved(house: House) -> None:
    first = await house.pending()

    async def overtake() -> None:
        await house.pending()

    house.store.before["save_index"] = overtake
    third = await house.pending()

    stored = await house.store.load_index("a1")
    assert len(stored.index.files) == 3
    assert {first.id, third.id} <= set(stored.index.files)
    assert len(house.pauses) == 1


async def test_races_are_bounded_and_pauses_grow_with_jitter(house: House) -> None:
    house.store.conflicts = ATTEMPTS
    with pytest.raises(StoreUnavailableError):
        await house.pending()

    assert len(house.pauses) == len(house.retries) == ATTEMPTS
    bounds = [min(1.0, 0.02 * 2**n) for n in range(ATTEMPTS)]
    assert all(0 <= pause <= bound for pause, bound in zip(house.pauses, bounds, strict=True))
    assert len(set(house.pauses)) == ATTEMPTS

    house.store.conflicts = ATTEMPTS - 1
    await house.pending()


@pytest.mark.parametrize(
    "step",
    ["load_index", "find_upload", "read_upload", "publish", "save_index"],
)
async def test_a_complete_that_met_an_absent_store_can_be_done_again(
    house: House, step: str
) -> None:
    file = await house.uploaded()
    house.store.fail = {step}
    with pytest.raises(StoreUnavailableError):
        await house.files.complete(PATIENT, "a1", file.id)

    house.store.fail = set()
    assert (await house.files.read(PATIENT, "a1", file.id)).status is Status.PENDING
    completed = await house.files.complete(PATIENT, "a1", file.id)
    assert completed.status is Status.AVAILABLE
    assert PDF_BYTES in house.store.clean[file.id].values()


@pytest.mark.parametrize(
    ("body", "lies", "error"),
    [
        (PDF_BYTES + b"\n", {}, ChecksumMismatchError),
        (PDF_BYTES[:-1], {}, ChecksumMismatchError),
        (PDF_BYTES[:-1] + b"X", {}, ChecksumMismatchError),
        (PDF_BYTES, {"sha256": "0" * 64}, ChecksumMismatchError),
        (PDF_BYTES, {"content_type": "text/html"}, ContentMismatchError),
    ],
)
async def test_what_is_refused_is_deleted_and_can_be_sent_again(
    house: House, body: bytes, lies: dict[str, str], error: type[FilesError]
) -> None:
    file = await house.pending()
    house.store.upload(file, body, **lies)

    with pytest.raises(error):
        await house.files.complete(PATIENT, "a1", file.id)

    assert house.store.incoming[file.id] == {}
    assert not house.store.clean
    with pytest.raises(NotUploadedError):
        await house.files.complete(PATIENT, "a1", file.id)
    house.store.upload(file, PDF_BYTES)
    assert (await house.files.complete(PATIENT, "a1", file.id)).status is Status.AVAILABLE


async def test_what_is_too_long_is_not_even_read(house: House) -> None:
    file = await house.pending()
    house.store.upload(file, PDF_BYTES * 1000)
    house.store.fail = {"read_upload"}
    with pytest.raises(ChecksumMismatchError):
        await house.files.complete(PATIENT, "a1", file.id)


async def test_bytes_of_another_type_are_refused_and_deleted(house: House) -> None:
    file = await house.pending(b"MZ\x90\0\3", "image/png")
    house.store.upload(file, b"MZ\x90\0\3")
    with pytest.raises(ContentMismatchError):
        await house.files.complete(PATIENT, "a1", file.id)
    assert house.store.incoming[file.id] == {}


async def test_a_refused_object_outlives_an_absent_store_only_until_the_next_try(
    house: House,
) -> None:
    file = await house.pending()
    house.store.upload(file, b"x" * len(PDF_BYTES))
    house.store.fail = {"discard_upload"}
    with pytest.raises(StoreUnavailableError):
        await house.files.complete(PATIENT, "a1", file.id)

    house.store.fail = set()
    with pytest.raises(ChecksumMismatchError):
        await house.files.complete(PATIENT, "a1", file.id)
    assert house.store.incoming[file.id] == {}


async def test_only_the_version_that_was_verified_is_published(house: House) -> None:
    file = await house.uploaded()

    async def replace() -> None:
        house.store.upload(file, b"x" * len(PDF_BYTES))

    house.store.before["publish"] = replace
    await house.files.complete(PATIENT, "a1", file.id)

    assert list(house.store.clean[file.id].values()) == [PDF_BYTES]


async def test_a_file_deleted_during_its_complete_is_not_brought_back(house: House) -> None:
    file = await house.uploaded()

    async def delete() -> None:
        await house.files.delete(PATIENT, "a1", file.id)

    house.store.before["save_index"] = delete
    with pytest.raises(NotFoundError):
        await house.files.complete(PATIENT, "a1", file.id)

    assert house.store.clean[file.id] == {}
    with pytest.raises(NotFoundError):
        await house.files.read(PATIENT, "a1", file.id)


async def test_a_slow_second_complete_does_not_undo_a_deletion(house: House) -> None:
    file = await house.uploaded()

    async def complete_and_delete() -> None:
        await house.files.complete(PATIENT, "a1", file.id)
        await house.files.delete(PATIENT, "a1", file.id)

    house.store.before["save_index"] = complete_and_delete
    with pytest.raises(NotFoundError):
        await house.files.complete(PATIENT, "a1", file.id)

    assert len(house.store.clean[file.id]) == 1  # the deleted version stays for its retention


async def test_a_file_completed_during_its_deletion_is_withdrawn(house: House) -> None:
    file = await house.uploaded()

    async def complete() -> None:
        await house.files.complete(PATIENT, "a1", file.id)

    house.store.before["save_index"] = complete
    await house.files.delete(PATIENT, "a1", file.id)

    assert not await house.store.is_published(file)
    with pytest.raises(NotFoundError):
        await house.files.read(PATIENT, "a1", file.id)


async def test_a_deletion_that_broke_off_is_caught_up_on(house: House) -> None:
    file = await house.available()
    house.store.fail = {"withdraw"}
    with pytest.raises(StoreUnavailableError):
        await house.files.delete(PATIENT, "a1", file.id)
    house.store.fail = set()

    with pytest.raises(NotFoundError):  # no more to be seen by anybody
        await house.files.download(PATIENT, "a1", file.id)
    with pytest.raises(NotFoundError):  # nor for others to catch up on
        await house.files.delete(DOCTOR, "a1", file.id)
    assert await house.store.is_published(file)

    await house.files.delete(ADMIN, "a1", file.id)
    assert not await house.store.is_published(file)
    with pytest.raises(NotFoundError):
        await house.files.delete(ADMIN, "a1", file.id)


async def test_who_may_see_a_file_may_not_for_that_delete_it(house: House) -> None:
    file = await house.available()
    with pytest.raises(ForbiddenError):
        await house.files.delete(DOCTOR, "a1", file.id)
    with pytest.raises(NotFoundError):
        await house.files.delete(DOCTOR, "a1", "another")


async def test_files_that_never_came_leave_the_index(house: House) -> None:
    abandoned = await house.pending()
    house.clock.advance(timedelta(days=2))
    kept = await house.pending()

    stored = await house.store.load_index("a1")
    assert set(stored.index.files) == {kept.id}
    with pytest.raises(NotFoundError):
        await house.files.read(PATIENT, "a1", abandoned.id)


async def test_nothing_is_touched_for_a_caller_who_may_not_see_the_appointment(
    house: House,
) -> None:
    file = await house.available()
    before = dict(house.store.indexes)
    house.appointments.hidden.add("a1")

    for attempt in (
        house.files.read(PATIENT, "a1", file.id),
        house.files.download(PATIENT, "a1", file.id),
        house.files.list_available(PATIENT, "a1"),
        house.files.complete(PATIENT, "a1", file.id),
        house.files.delete(PATIENT, "a1", file.id),
        house.pending(),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    assert house.store.indexes == before
