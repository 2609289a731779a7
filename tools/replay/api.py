"""The public API as a careful client calls it: tokens renewed in time, what passes tried again."""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp

PATIENCE_SECONDS = 120.0
"""How long one request is tried again while its answers are of the passing kind."""

_LONGEST_PAUSE = 10.0
_RENEWED_BEFORE = 60.0  # seconds before an access token ends
NO_ANSWER = 0
"""The status under which a request is counted that got no answer."""

_PASSING = frozenset({NO_ANSWER, 502, 503, 504})


class Outcome(NamedTuple):
    """One kind of answer: the operation, its HTTP status, and the problem's code or a remark."""

    operation: str
    status: int
    code: str


class Answer(NamedTuple):
    """The answer to a request.

    Attributes:
        body: the JSON document, None without one.
        code: of a problem document, else "".
        replayed: whether an idempotency key had this answer already.
        repeated: whether an earlier attempt got an answer that doesn't say if it took effect.
    """

    status: int
    body: Any
    code: str
    replayed: bool
    repeated: bool


class GaveUpError(Exception):
    """A request got only passing errors for all of our patience. The last one is in the text."""


class Statistics:
    """All answers by kind, and how long each operation's took."""

    def __init__(self) -> None:
        self.answers: Counter[Outcome] = Counter()
        self.seconds: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))

    def count(self, outcome: Outcome, seconds: float) -> None:
        """Count an answer in."""
        self.answers[outcome] += 1
        self.seconds[outcome.operation].append(seconds)


class API:
    """The gateway of a suite, and what it answered so far.

    Args:
        patience: how long to try again, in seconds.
    """

    def __init__(
        self, session: aiohttp.ClientSession, target: str, *, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._session = session
        self._target = target.rstrip("/")
        self._patience = patience
        self.statistics = Statistics()

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, sent again while it is answered 502, 503, 504 or not at all.

        Every operation used here may be repeated: by its idempotency key, because it sets
        something, or because its caller reads the answer to the second time rightly.

        Raises:
            GaveUpError: for too long nothing else came back.
        """
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        deadline = time.monotonic() + self._patience
        repeated = False
        while True:
            answer, pause = await self._once(
                operation, method, path, headers=headers, json=body, params=params
            )
            if answer.status not in _PASSING:
                return answer._replace(repeated=repeated)
            # A 503 with `Retry-After` says that nothing was done; the others say nothing.
            repeated = True
            if time.monotonic() + pause > deadline:
                raise GaveUpError(f"{operation}: {answer.status or 'no answer'} {answer.code}")
            await asyncio.sleep(pause)

    async def _once(
        self, operation: str, method: str, path: str, **request: Any
    ) -> tuple[Answer, float]:
        started = time.perf_counter()
        pause = 1.0
        try:
            async with self._session.request(method, self._target + path, **request) as response:
                text = await response.read()
                replayed = response.headers.get("Idempotency-Replayed") == "true"
                answer = _answer(response.status, text, replayed)
                after = response.headers.get("Retry-After", "")
                if after.isdecimal():
                    pause = min(float(after), _LONGEST_PAUSE)
        except (aiohttp.ClientError, TimeoutError) as error:
            answer = Answer(NO_ANSWER, None, type(error).__name__, False, False)
        remark = answer.code or ("replayed" if answer.replayed else "")
        outcome = Outcome(operation, answer.status, remark)
        self.statistics.count(outcome, time.perf_counter() - started)
        return answer, pause


def _answer(status: int, text: bytes, replayed: bool) -> Answer:
    try:
        body = json.loads(text) if text else None
    except ValueError:
        # The load balancer's own answers are plain text; anybody else's must be JSON.
        return Answer(status, None, "not JSON", replayed, False)
    code = ""
    if status >= 400:
        code = str(body.get("code", "")) if isinstance(body, dict) else "no problem document"
    return Answer(status, body, code, replayed, False)


class RefusedError(Exception):
    """An answer that ends what was to be done; it is counted already."""

    def __init__(self, operation: str, answer: Answer) -> None:
        super().__init__(f"{operation}: {answer.status} {answer.code}".rstrip())


def accepted(operation: str, answer: Answer, *statuses: int) -> Answer:
    """The answer, if it has one of the statuses. Raises RefusedError."""
    if answer.status not in statuses:
        raise RefusedError(operation, answer)
    return answer


class Account:
    """Somebody who can sign in, and the tokens that they have."""

    def __init__(self, api: API, email: str, password: str) -> None:
        self._api = api
        self.email = email
        self.password = password
        self._lock = asyncio.Lock()
        self._access = ""
        self._refresh = ""
        self._renew_at = 0.0

    async def token(self) -> str:
        """An access token that is good for a while yet. Raises RefusedError, GaveUpError."""
        async with self._lock:
            if time.monotonic() >= self._renew_at:
                await self._renew()
            return self._access

    async def _renew(self) -> None:
        answer = await self._refreshed() if self._refresh else None
        if answer is None:
            body = {"email": self.email, "password": self.password}
            answer = await self._api.call("log in", "POST", "/v1/auth/login", body=body)
            accepted("log in", answer, 200)
        self._access = answer.body["access_token"]
        self._refresh = answer.body["refresh_token"]
        self._renew_at = time.monotonic() + answer.body["expires_in"] - _RENEWED_BEFORE

    async def _refreshed(self) -> Answer | None:
        body = {"refresh_token": self._refresh}
        answer = await self._api.call("refresh", "POST", "/v1/auth/refresh", body=body)
        if answer.status == 401 and answer.repeated:
            return None  # it was spent by an attempt whose answer was lost
        return accepted("refresh", answer, 200)
