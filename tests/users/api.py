"""The service as its callers see it, with the few calls that most tests begin with."""

import itertools
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient

PASSWORD = "a phrase long enough"
ADMIN_EMAIL = "admin@clinic.example"

Client = TestClient[web.Request, web.Application]

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """A signed-in account."""

    id: str
    email: str
    token: str
    refresh: str


class Api:
    """One instance of the service."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        by: Person | str | None = None,
        headers: dict[str, str] | None = None,
    ) -> ClientResponse:
        token = by.token if isinstance(by, Person) else by
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        response = await self.client.request(
            method, path, json=body, headers={**sent, **(headers or {})}
        )
        await response.read()
        return response

    async def ok(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """The document of an answer that must be a good one."""
        response = await self.call(method, path, body, **options)
        assert response.status < 300, await response.text()
        return await response.json() if response.status != 204 else None

    async def refused(
        self, status: int, code: str, method: str, path: str, body: object = None, **options: Any
    ) -> ClientResponse:
        """An answer that must be this refusal, as a whole problem document."""
        response = await self.call(method, path, body, **options)
        assert response.content_type == "application/problem+json", await response.text()
        problem = await response.json()
        assert (response.status, problem["code"]) == (status, code), problem
        assert problem["status"] == status
        assert problem["request_id"] == response.headers["X-Request-Id"]
        return response

    async def measured(self, sample: str) -> float:
        """What /metrics says of a sample, named with its labels."""
        text = await (await self.call("GET", "/metrics")).text()
        (value,) = (
            line.rpartition(" ")[2]
            for line in text.splitlines()
            if line.rpartition(" ")[0] == sample
        )
        return float(value)

    async def login(
        self, email: str, password: str = PASSWORD, *, address: str = "192.0.2.1"
    ) -> ClientResponse:
        return await self.call(
            "POST",
            "/v1/auth/login",
            {"email": email, "password": password},
            headers={"X-Forwarded-For": address},
        )

    async def sign_in(self, email: str) -> Person:
        response = await self.login(email)
        assert response.status == 200, await response.text()
        pair = await response.json()
        me = await self.ok("GET", "/v1/users/me", by=pair["access_token"])
        return Person(me["id"], email, pair["access_token"], pair["refresh_token"])

    async def patient(self, **fields: Any) -> Person:
        """A new patient, signed in."""
        email = fields.pop("email", f"patient{next(_numbers)}@example.org")
        body = {"email": email, "password": PASSWORD, "full_name": "Ana Silva", **fields}
        await self.ok("POST", "/v1/auth/register", body)
        return await self.sign_in(email)

    async def admin(self) -> Person:
        """The first admin, signed in."""
        return await self.sign_in(ADMIN_EMAIL)

    async def staff(self, role: str, *, by: Person, **fields: Any) -> Person:
        """A new account of any role, signed in."""
        email = fields.pop("email", f"{role}{next(_numbers)}@clinic.example")
        body = {"email": email, "password": PASSWORD, "full_name": "Dr. Bob", "role": role}
        await self.ok("POST", "/v1/users", {**body, **fields}, by=by)
        return await self.sign_in(email)
