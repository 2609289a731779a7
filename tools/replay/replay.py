"""The replay itself: doctors first, then every row by some workers at once, then the proof."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tools.answers import Answered
from tools.replay.api import API, Account, Answer, GaveUpError, RefusedError, accepted
from tools.replay.people import Doctors, Identities, Patient
from tools.replay.plan import Booking, DoctorKey, Plan, Step

_PAGE = 200  # the most that a list gives
_MADE_BY = {Step.CANCEL: "cancelled", Step.CHECK_IN: "checked_in", Step.COMPLETE: "completed"}


class Kept(NamedTuple):
    """What must be there at the end.

    Attributes:
        exact: False where an earlier run may have gone on with it: then no older version.
    """

    doctor_id: str
    patient_id: str
    starts_at: str
    status: str
    version: int
    exact: bool


class Replay:
    """One run of a plan against a suite.

    Attributes:
        done: how many rows are dealt with.
        booked: how many of them are booked.
        faults: what must not be: rows that weren't booked, answers that say another thing than
            was asked for, bookings that are lost or nobody asked for.
        seconds: how long the bookings took altogether.
    """

    def __init__(
        self,
        api: API,
        plan: Plan,
        staff: Account,
        identities: Identities,
        *,
        concurrency: int,
        journal: Callable[[Answered], None],
    ) -> None:
        self._api = api
        self._plan = plan
        self._staff = staff
        self._identities = identities
        self._concurrency = concurrency
        self._journal = journal
        self._doctors: dict[DoctorKey, str] = {}
        self._patients: dict[str, Patient] = {}
        self._visits = Counter(booking.row.patient for booking in plan.bookings)
        self._kept: dict[str, Kept] = {}
        # Bookings without an answer: they may have happened, entirely, or not at all.
        self._unanswered: set[tuple[str, str]] = set()
        self._stopped = False
        self.statistics = api.statistics
        self.phase = "starting"
        self.done = 0
        self.booked = 0
        self.faults: list[str] = []
        self.started = time.monotonic()
        self.seconds = 0.0

    async def run(self) -> None:
        """Do it all. Raises RefusedError and GaveUpError where it can't even begin or prove."""
        self.phase = "doctors"
        doctors = Doctors(self._api, self._staff, self._identities, self._plan.horizon_days)

        async def make(key: DoctorKey) -> None:
            self._doctors[key] = await doctors.make(key)

        await self._spread(iter(self._plan.doctors), make)
        self.phase = "bookings"
        self.started = time.monotonic()
        try:
            await self._spread(iter(self._plan.bookings), self._row)
        finally:
            self.seconds = time.monotonic() - self.started
        self.phase = "reading back"
        await self._spread(iter(sorted(self._doctors.values())), self._read_back)
        # What is left was on no doctor's list. That list may lag, an appointment itself does not.
        await self._spread(iter(sorted(self._kept)), self._read_one)

    async def _spread(
        self, things: Iterator[Any], deal_with: Callable[[Any], Awaitable[None]]
    ) -> None:
        async def work() -> None:
            for thing in things:
                await deal_with(thing)

        workers = [asyncio.create_task(work()) for _ in range(self._concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _row(self, booking: Booking) -> None:
        if self._stopped:
            return
        name = booking.row.patient
        patient = self._patients.get(name)
        if patient is None:
            patient = self._patients[name] = Patient(self._api, self._identities, name)
        try:
            await self._book(booking, patient)
        except RefusedError as error:
            self.faults.append(f"row {booking.row.number}: {error}")
        except GaveUpError as error:
            # Nothing has got through for minutes: the rows that are left would each wait as long.
            self._stopped = True
            self.faults.append(f"row {booking.row.number}: {error}; stopped here")
        self.done += 1
        self._visits[name] -= 1
        if not self._visits[name]:
            del self._patients[name]  # its tokens are needed no more

    async def _book(self, booking: Booking, patient: Patient) -> None:
        patient_id, token = await patient.sign_in()
        doctor_id = self._doctors[booking.doctor]
        starts_at = _instant(booking.starts_at)
        appointment = booking.row.appointment
        try:
            answer = await self._api.call(
                "book",
                "POST",
                "/v1/appointments",
                token=token,
                key=self._identities.key("book", appointment, starts_at),
                body={
                    "doctor_id": doctor_id,
                    "starts_at": starts_at,
                    "reason": f"appointment {appointment}",
                },
            )
        except GaveUpError:
            self._unanswered.add((patient_id, starts_at))
            raise
        accepted("book", answer, 201)
        self.booked += 1
        # An answer from an earlier run: the appointment may have gone on since.
        exact = not answer.replayed or answer.repeated
        kept = Kept(doctor_id, patient_id, starts_at, "booked", 1, exact)
        self._keep("book", answer, kept)
        if exact:
            for step, moved_to in booking.steps:
                kept = await self._live(booking, patient, answer.body["id"], kept, step, moved_to)

    async def _live(
        self,
        booking: Booking,
        patient: Patient,
        appointment_id: str,
        kept: Kept,
        step: Step,
        moved_to: datetime | None,
    ) -> Kept:
        """Take an appointment one step further; what must be kept then."""
        path = f"/v1/appointments/{appointment_id}"
        by_staff = step in (Step.CHECK_IN, Step.COMPLETE)
        token = await self._staff.token() if by_staff else (await patient.sign_in())[1]
        if moved_to is not None:
            starts_at = _instant(moved_to)
            operation = "move"
            key = self._identities.key("move", booking.row.appointment, starts_at)
            body = {"starts_at": starts_at}
            answer = await self._api.call(
                operation, "POST", f"{path}/reschedule", token=token, key=key, body=body
            )
            kept = kept._replace(starts_at=starts_at, version=kept.version + 1)
        else:
            operation = step.value
            answer = await self._api.call(operation, "POST", f"{path}/{operation}", token=token)
            kept = kept._replace(status=_MADE_BY[step], version=kept.version + 1)
            if answer.code == "wrong_status" and answer.repeated:
                # The attempt whose answer was lost may have done it; the comparison below tells.
                answer = await self._api.call("read one", "GET", path, token=token)
        accepted(operation, answer, 200)
        self._keep(operation, answer, kept)
        return kept

    def _keep(self, operation: str, answer: Answer, kept: Kept) -> None:
        """Remember an answer, in which must stand what was asked for."""
        appointment = answer.body
        said = _kept(appointment, kept.exact)
        if said != kept:
            self.faults.append(f"{operation}: answered {said}, expected {kept}")
        self._kept[appointment["id"]] = said
        self._journal(Answered.of(f"a replay was answered {answer.status}", appointment))

    async def _read_back(self, doctor_id: str) -> None:
        """Compare a doctor's list with what was answered, and tick off what is as it should be."""
        params = {"doctor_id": doctor_id, "limit": str(_PAGE)}
        while True:
            answer = await self._api.call(
                "list", "GET", "/v1/appointments", token=await self._staff.token(), params=params
            )
            for appointment in accepted("list", answer, 200).body["items"]:
                expected = self._kept.get(appointment["id"])
                if expected is None:
                    if (appointment["patient_id"], appointment["starts_at"]) not in (
                        self._unanswered
                    ):
                        self.faults.append(f"nobody was told of appointment {appointment['id']}")
                elif _agrees(appointment, expected):
                    del self._kept[appointment["id"]]
            cursor = answer.body["next_cursor"]
            if cursor is None:
                return
            params["cursor"] = cursor

    async def _read_one(self, appointment_id: str) -> None:
        expected = self._kept[appointment_id]
        answer = await self._api.call(
            "read one",
            "GET",
            f"/v1/appointments/{appointment_id}",
            token=await self._staff.token(),
        )
        if answer.status != 200:
            self.faults.append(f"lost: appointment {appointment_id}, {answer.status} {answer.code}")
        elif not _agrees(answer.body, expected):
            found = _kept(answer.body, expected.exact)
            self.faults.append(f"appointment {appointment_id} is {found}, answered {expected}")


def _kept(appointment: dict[str, Any], exact: bool) -> Kept:
    return Kept(
        appointment["doctor_id"],
        appointment["patient_id"],
        appointment["starts_at"],
        appointment["status"],
        appointment["version"],
        exact,
    )


def _agrees(appointment: dict[str, Any], expected: Kept) -> bool:
    found = _kept(appointment, expected.exact)
    if found == expected:
        return True
    whose = found[:2] == expected[:2]
    return whose and not expected.exact and found.version > expected.version


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
