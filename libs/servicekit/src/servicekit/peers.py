"""Calls to another service: over HTTP, with a deadline, carrying the request's names."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import jwt
from prometheus_client import CollectorRegistry

from servicekit.calls import Call, CallMetrics, Calls, Result
from servicekit.context import TRACEPARENT_HEADER, current_trace

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?=[\s,]|$)", re.IGNORECASE)


class PeerUnavailableError(Exception):
    """The other service didn't give an answer that says anything: away, late, or failing.

    The text is fit for logs and callers: it names no path, which can hold what a caller has sent.
    """


class PeerBusyError(PeerUnavailableError):
    """It said that it is asked too often (429)."""


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """What the other service said; `body` is the JSON document, None if there is none."""

    status: int
    body: Any
    max_age: int = 0
    """For how many seconds after the question was sent the answer may be relied on."""


class Peer:
    """Another service, reached by its base URL.

    Args:
        deadline: seconds for one call, connecting and reading included.
        calls: how they are counted; a service has a count of its own, `Metrics.peers`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        deadline: float = 2.0,
        *,
        calls: Calls | None = None,
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=deadline)
        self._calls = calls or _uncounted()

    async def call(
        self,
        method: str,
        pattern: str,
        parts: Mapping[str, str] | None = None,
        *,
        token: str | None = None,
        body: object | None = None,
    ) -> PeerAnswer:
        """One request. Answers below 500 but 429 are given back, whatever they say.

        Args:
            pattern: the path, with names in braces for `parts`: `/v1/doctors/{id}`. It is what the
                call is counted and traced by.

        Raises:
            PeerUnavailableError: no answer in time, a 5xx or 429, or something that isn't JSON.
        """
        quoted = {name: quote(text, safe="") for name, text in (parts or {}).items()}
        operation = f"{method} {pattern.partition('?')[0]}"
        with self._calls.call(operation) as call:
            headers = _headers(call, token)
            try:
                async with self._session.request(
                    method,
                    self._base_url + pattern.format_map(quoted),
                    headers=headers,
                    json=body,
                    timeout=self._timeout,
                    allow_redirects=False,
                ) as response:
                    raw = await response.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise PeerUnavailableError(f"{operation}: {type(error).__name__}") from error
            if response.status >= HTTPStatus.BAD_REQUEST:
                call.result = "refused"
            return _answer(operation, response, raw)


def _headers(call: Call, token: str | None) -> dict[str, str]:
    trace = current_trace.get()
    headers = trace.headers() if trace is not None else {}
    if call.span is not None:
        headers[TRACEPARENT_HEADER] = call.span.traceparent
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _answer(operation: str, response: aiohttp.ClientResponse, raw: bytes) -> PeerAnswer:
    status = response.status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise PeerBusyError(f"{operation}: {status}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise PeerUnavailableError(f"{operation}: {status}")
    if "json" not in response.headers.get("Content-Type", ""):
        # A load balancer's own answers are plain text: nobody of the service has spoken.
        if status == HTTPStatus.NO_CONTENT:
            return PeerAnswer(status, None)
        raise PeerUnavailableError(f"{operation}: {status} without JSON")
    try:
        return PeerAnswer(status, json.loads(raw), _max_age(response))
    except ValueError as error:
        raise PeerUnavailableError(f"{operation}: broken JSON") from error


def classify(error: BaseException) -> Result:
    """What an exception means."""
    return "throttled" if isinstance(error, PeerBusyError) else "failed"


def _uncounted() -> Calls:
    return Calls(CallMetrics(CollectorRegistry(), "peer"), "peer", classify=classify)


def _max_age(response: aiohttp.ClientResponse) -> int:
    """What Cache-Control (RFC 9111) allows, 0 where it says nothing."""
    found = _MAX_AGE.search(response.headers.get("Cache-Control", ""))
    return int(found[1]) if found is not None else 0


class ServiceTokens:
    """This service's own access token, from users, by a signed assertion (RFC 7523).

    Args:
        name: the service's registered name.
        private_key: PEM of the RSA key whose public part users has registered.
        audience: the token issuer, for whom alone the assertion is good.
        margin: seconds before its end at which a token is replaced.
    """

    def __init__(
        self,
        users: Peer,
        *,
        name: str,
        private_key: str,
        audience: str,
        margin: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._name = name
        self._private_key = private_key
        self._audience = audience
        self._margin = margin
        self._clock = clock
        self._renewal: asyncio.Task[None] | None = None
        self._token = ""
        self._expires_at = 0.0

    async def token(self) -> str:
        """A token good for at least `margin` seconds more. Raises PeerUnavailableError.

        All who need a new one wait for one question and share what comes of it, a failure too: one
        after the other, each would wait for a deadline of its own.
        """
        if self._clock() >= self._expires_at - self._margin:
            if self._renewal is None:
                self._renewal = asyncio.create_task(self._renew())
                self._renewal.add_done_callback(self._renewed)
            # Shielded: one caller that goes away must not take the token from the others.
            await asyncio.shield(self._renewal)
        return self._token

    def forget(self) -> None:
        """Drops the token, for one that was refused: the next is a new one."""
        self._expires_at = 0.0

    def _renewed(self, renewal: asyncio.Task[None]) -> None:
        self._renewal = None
        if not renewal.cancelled():
            renewal.exception()  # seen, even if all who waited for it have gone

    async def _renew(self) -> None:
        now = self._clock()
        claims = {
            "iss": self._name,
            "sub": self._name,
            "aud": self._audience,
            "iat": int(now),
            "exp": int(now) + 60,
            "jti": secrets.token_urlsafe(16),
        }
        assertion = jwt.encode(claims, self._private_key, algorithm="RS256")
        answer = await self._users.call(
            "POST", "/v1/auth/service-token", body={"client_assertion": assertion}
        )
        if answer.status != HTTPStatus.OK:
            raise PeerUnavailableError(f"users refused the assertion: {answer.status}")
        try:
            token, lifetime = answer.body["access_token"], float(answer.body["expires_in"])
        except (KeyError, TypeError, ValueError) as error:
            raise PeerUnavailableError("users answered something else than a token") from error
        self._token, self._expires_at = str(token), now + lifetime
