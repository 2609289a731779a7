"""HTTP to the suite as a caller writes it: no target is tidied up, no redirect followed.

Whatever the test is about, each answer is held to what the contract says of all answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

PROBLEM_MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}
# What a problem may say besides: what is wrong, and which times of a series are.
MORE_MEMBERS = {"errors", "conflicts"}

_AT_ONCE = 16


@dataclass(frozen=True)
class Answer:
    """A whole answer, and the request that it is to, for messages."""

    request: str
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        return self.headers.get("Content-Type", "").startswith("application/problem+json")

    @property
    def code(self) -> str | None:
        """The problem's code; None where the answer is no problem document."""
        code: str | None = self.json["code"] if self.is_problem else None
        return code

    @property
    def is_of_the_gateway(self) -> bool:
        return self.headers.get("Server") == "gateway"

    def __str__(self) -> str:
        return f"{self.request} → {self.status} {self.body[:300]!r}"


def faults(answer: Answer) -> list[str]:
    """What is wrong with an answer, whatever it answers."""
    found = []
    if answer.headers.getall("X-Content-Type-Options", []) != ["nosniff"]:
        found.append(f"no nosniff: {answer}")
    if answer.is_of_the_gateway:
        if not answer.headers["Content-Type"].startswith("text/plain"):
            found.append(f"the gateway's own answer is not plain: {answer}")
        return found
    if "X-Request-Id" not in answer.headers:
        found.append(f"no X-Request-Id: {answer}")
    if answer.status >= 400:
        found += [f"{fault}: {answer}" for fault in _problem_faults(answer)]
    return found


def _problem_faults(answer: Answer) -> list[str]:
    if not answer.is_problem:
        return ["no problem document"]
    problem = answer.json
    found = []
    if not problem.keys() >= PROBLEM_MEMBERS or problem.keys() - PROBLEM_MEMBERS - MORE_MEMBERS:
        found.append("other members than the contract's")
    if problem.get("status") != answer.status:
        found.append("another status in the document")
    if problem.get("request_id") != answer.headers.get("X-Request-Id"):
        found.append("another request id in the document")
    if answer.status == 401 and problem.get("code") == "invalid_token":
        challenge = answer.headers.get("WWW-Authenticate")
        if challenge != 'Bearer error="invalid_token"':
            found.append("no challenge")
    if answer.status in (429, 503) and "Retry-After" not in answer.headers:
        found.append("no Retry-After")
    if problem.get("code") == "validation_failed":
        errors = problem.get("errors")
        if not errors or any(error.keys() != {"loc", "msg", "type"} for error in errors):
            found.append("validation that doesn't list what is wrong")
    if answer.status == 405 and "Allow" not in answer.headers:
        found.append("no Allow")
    return found


class Client:
    """Requests to the gateway, or to one instance; some at once, the others wait."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def send(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        token: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        base: str | None = None,
    ) -> Answer:
        """One request and its answer, whatever it is. Raises aiohttp.ClientError."""
        sent = list(headers)
        if token is not None:
            sent.append(("Authorization", f"Bearer {token}"))
        url = URL((base or self._base) + target, encoded=True)
        async with (
            self._slots,
            self._session.request(
                method,
                url,
                data=BytesIO(body) if body is not None else None,
                headers=sent,
                allow_redirects=False,
            ) as response,
        ):
            content = await response.read()
            request = f"{method} {target[:200]} {(body or b'')[:200]!r}"
            return Answer(request, response.status, response.headers, content)

    async def call(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        base: str | None = None,
    ) -> Answer:
        """One request with a JSON body. Fails on a 5xx, and on what no answer may be."""
        raw = None
        sent = list(headers)
        if body is not None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            if not any(name.lower() == "content-type" for name, _ in sent):
                sent.append(("Content-Type", "application/json"))
        answer = await self.send(method, target, raw, token=token, headers=sent, base=base)
        assert answer.status < 500, answer
        assert not faults(answer), faults(answer)
        return answer

    async def ok(self, method: str, target: str, body: object = None, **more: Any) -> Any:
        """The JSON of an answer 2xx, None for one without any."""
        answer = await self.call(method, target, body, **more)
        assert 200 <= answer.status < 300, answer
        return answer.json if answer.body else None

    async def refused(
        self, status: int, code: str, method: str, target: str, body: object = None, **more: Any
    ) -> Answer:
        """An answer with this status and code."""
        answer = await self.call(method, target, body, **more)
        assert (answer.status, answer.code) == (status, code), answer
        return answer


@asynccontextmanager
async def open_client(base: str, source: str | None = None) -> AsyncIterator[Client]:
    """A client of its own connections; `source` is the address that they come from."""
    local = (source, 0) if source is not None else None
    connector = aiohttp.TCPConnector(limit=0, local_addr=local)
    timeout = aiohttp.ClientTimeout(total=90)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Content-Type", "Accept-Encoding"),
    ) as session:
        yield Client(session, base)
