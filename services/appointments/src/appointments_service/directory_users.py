"""The directory as the users service keeps it, asked over HTTP.

What users says of a doctor may be relied on for a second after the question was sent: it is a
lease, and users answers a change of whether a doctor can be booked only when all leases have
lapsed. So what is kept here is never older than what anybody was told.

So that a rush on one doctor doesn't become a rush on users, the requests that come while a question
is under way share the next one: never the one under way, which may have been answered before what
they must see.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

from appointments_service.directory import Contact, Doctor, Patient
from appointments_service.errors import UsersUnavailableError
from servicekit.peers import Peer, PeerAnswer, PeerUnavailableError, ServiceTokens

T = TypeVar("T")

KEPT_LEASES = 4096
_OF_SPECIALTY: Final = "/v1/doctors?limit=200&specialty={specialty}"


class SharedQuestions(Generic[T]):
    """At most one question a key under way, and one behind it for all who come meanwhile."""

    def __init__(self, ask: Callable[[str], Awaitable[T]]) -> None:
        self._ask = ask
        self._asked: dict[str, asyncio.Future[T]] = {}
        self._waiting: dict[str, asyncio.Future[T]] = {}

    async def answer(self, key: str) -> T:
        """The answer to a question that was not asked before now."""
        # Who waits has not asked yet, even in the moment after the one under way has ended.
        waiting = self._waiting.get(key)
        if waiting is None and key not in self._asked:
            return await self._start(key)
        if waiting is None:
            waiting = self._waiting[key] = asyncio.ensure_future(self._follow(key))
        # Shielded: one caller that goes away must not take the answer from the others.
        return await asyncio.shield(waiting)

    async def _follow(self, key: str) -> T:
        under_way = self._asked.get(key)
        if under_way is not None:
            await asyncio.wait([under_way])
        self._waiting.pop(key, None)
        return await self._start(key)

    async def _start(self, key: str) -> T:
        marker: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked[key] = marker
        try:
            return await self._ask(key)
        finally:
            if self._asked.get(key) is marker:
                del self._asked[key]
            marker.cancel()


@contextmanager
def _as_agreed() -> Iterator[None]:
    """For reading what users answered: what isn't as its document says is no answer."""
    try:
        yield
    except (KeyError, TypeError) as error:
        raise UsersUnavailableError("users answered something else") from error


class UsersDirectory:
    """`Directory` and `Contacts` over the users service's public and service operations.

    Args:
        tokens: to ask for patients and addresses with; None where this service has no key.
        now: a clock that never goes back, in seconds.
    """

    def __init__(
        self,
        users: Peer,
        tokens: ServiceTokens | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._users = users
        self._tokens = tokens
        self._now = now
        self._doctors = SharedQuestions(self._ask_doctor)
        self._specialties = SharedQuestions(self._ask_specialty)
        self._leased: dict[str, tuple[Doctor, float]] = {}

    async def doctor(self, doctor_id: str) -> Doctor | None:
        """The doctor, None if there is none of this id. Raises UsersUnavailableError."""
        leased = self._leased.get(doctor_id)
        if leased is not None and self._now() < leased[1]:
            return leased[0]
        return await self._doctors.answer(doctor_id)

    async def _ask_doctor(self, doctor_id: str) -> Doctor | None:
        asked_at = self._now()
        try:
            answer = await self._users.call("GET", "/v1/doctors/{id}", {"id": doctor_id})
        except PeerUnavailableError as error:
            raise UsersUnavailableError(f"users: {error}") from error
        if not _found(answer):
            self._leased.pop(doctor_id, None)
            return None
        with _as_agreed():
            doctor = _doctor_of(answer.body)
        if answer.max_age:
            if len(self._leased) >= KEPT_LEASES:
                self._leased.clear()
            self._leased[doctor_id] = (doctor, asked_at + answer.max_age)
        return doctor

    async def doctors_of(self, specialty: str) -> list[Doctor]:
        """All doctors of a specialty, whether they take patients or not.

        Never kept: a new doctor is in no lease, and is to be found at once. Where users reads its
        lists from a replica, they may lag behind what it says of the one doctor.
        """
        return await self._specialties.answer(specialty)

    async def _ask_specialty(self, specialty: str) -> list[Doctor]:
        doctors: list[Doctor] = []
        pattern, parts = _OF_SPECIALTY, {"specialty": specialty}
        while True:
            try:
                answer = await self._users.call("GET", pattern, parts)
            except PeerUnavailableError as error:
                raise UsersUnavailableError(f"users: {error}") from error
            if answer.status != HTTPStatus.OK:
                raise UsersUnavailableError(f"users answered {answer.status}")
            with _as_agreed():
                doctors += [_doctor_of(found) for found in answer.body["items"]]
                cursor = answer.body["next_cursor"]
            if cursor is None:
                return doctors
            pattern, parts = _OF_SPECIALTY + "&cursor={cursor}", {**parts, "cursor": cursor}

    async def patient(self, patient_id: str) -> Patient | None:
        """The patient, None if there is no active one of this id."""
        answer = await self._ask_of("/v1/users/{id}/name", patient_id)
        if not _found(answer):
            return None
        with _as_agreed():
            found = answer.body
            if found["role"] != "patient" or found["status"] != "active":
                return None
            return Patient(found["id"], found["full_name"])

    async def contact(self, user_id: str) -> Contact | None:
        """Where somebody is reached, None if there is no account of this id any more."""
        answer = await self._ask_of("/v1/users/{id}/contact", user_id)
        if not _found(answer):
            return None
        with _as_agreed():
            return Contact(answer.body["email"], answer.body["timezone"])

    async def _ask_of(self, pattern: str, user_id: str) -> PeerAnswer:
        """What users tells services only, of one person."""
        if self._tokens is None:
            raise UsersUnavailableError("this service has no key to sign in with")
        ask, id_ = partial(self._users.call, "GET", pattern), {"id": user_id}
        try:
            answer = await ask(id_, token=await self._tokens.token())
            if answer.status == HTTPStatus.UNAUTHORIZED:
                # Its key may have been withdrawn before the token's time was over.
                self._tokens.forget()
                answer = await ask(id_, token=await self._tokens.token())
        except PeerUnavailableError as error:
            raise UsersUnavailableError(f"users: {error}") from error
        return answer


def _doctor_of(found: Mapping[str, Any]) -> Doctor:
    return Doctor(found["id"], found["full_name"], found["accepting_patients"])


def _found(answer: PeerAnswer) -> bool:
    """Whether users knows whom it was asked about. Raises UsersUnavailableError."""
    if answer.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
        raise UsersUnavailableError(f"users answered {answer.status}")
    return answer.status == HTTPStatus.OK
