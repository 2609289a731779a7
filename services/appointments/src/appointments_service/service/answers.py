"""What was answered to an idempotency key, and is answered to it again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

from appointments_service.domain.appointments import Appointment
from appointments_service.errors import (
    AppointmentsError,
    IdempotencyKeyReusedError,
    StoreUnavailableError,
)
from appointments_service.store import (
    AnsweredBeforeError,
    AppointmentStore,
    IdempotencyRecord,
    StoredAnswer,
)

ANSWERS_KEPT = timedelta(hours=24)


class Versioned(Protocol):
    """What a change makes: an appointment, or an entry of the waiting list."""

    @property
    def version(self) -> int:
        """Which change of it this is."""

    @property
    def updated_at(self) -> datetime:
        """When it was changed."""


V = TypeVar("V", bound=Versioned)

Made = tuple[Appointment, ...]
"""What a change has made of appointments: one, or those of a series."""


@dataclass(frozen=True, slots=True)
class Idempotency(Generic[V]):
    """A caller's key for one request.

    Attributes:
        key: a digest over the method, the path and the caller's key.
        request_hash: a digest over the body: the same key with another one is refused.
        status: of the answer, should the request succeed.
        render: the answer's body.
        versioned: whether the answer has the version of one thing.
    """

    caller_id: str
    key: str
    request_hash: str
    status: int
    render: Callable[[tuple[V, ...]], bytes]
    versioned: bool = True

    def record(self, made: tuple[V, ...]) -> IdempotencyRecord:
        """What is stored with a change that made these."""
        now = made[0].updated_at
        version = made[0].version if self.versioned else None
        answer = StoredAnswer(self.status, self.render(made), version, self.request_hash)
        return IdempotencyRecord(self.caller_id, self.key, answer, now, now + ANSWERS_KEPT)


class Done(NamedTuple, Generic[V]):
    """What a request led to: what it made, or the answer that its key had already."""

    made: tuple[V, ...]
    answered: StoredAnswer | None


class Answers:
    """Runs each attempt once a key."""

    def __init__(self, store: AppointmentStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def once(
        self, attempt: Callable[[], Awaitable[tuple[V, ...]]], idempotency: Idempotency[V] | None
    ) -> Done[V]:
        """Runs an attempt unless its key has an answer, which then is the answer.

        The key is looked up in the write itself, so a success costs no read; only when the
        attempt is refused beforehand must it be asked whether it succeeded once before.
        """
        try:
            return Done(await attempt(), None)
        except AnsweredBeforeError as answered:
            answer = answered.answer
        except StoreUnavailableError:
            raise  # where the write found nobody, a read would only take as long again
        except AppointmentsError:
            found = await self._answer(idempotency)
            if found is None:
                raise
            answer = found
        if idempotency is None or answer.request_hash != idempotency.request_hash:
            raise IdempotencyKeyReusedError("the key was used with another request")
        return Done((), answer)

    async def _answer(self, idempotency: Idempotency[V] | None) -> StoredAnswer | None:
        if idempotency is None:
            return None
        return await self._store.read_answer(idempotency.caller_id, idempotency.key, self._clock())
