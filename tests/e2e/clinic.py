"""People of a clinic and what they commonly do, through the public API only."""

from __future__ import annotations

import hashlib
import itertools
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import aiohttp
import jwt

from servicekit.settings import DEVELOPMENT_ISSUER
from tests.e2e.client import Client
from tests.e2e.running import RunningSuite

PASSWORD = "a long enough password"
ALL_DAY = [{"start": "00:00", "end": "24:00"}]
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# A time every five minutes, day and night.
ALWAYS: dict[str, Any] = {
    "timezone": "UTC",
    "weekly": dict.fromkeys(WEEKDAYS, ALL_DAY),
    "slot_minutes": 5,
    "horizon_days": 365,
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    id: str
    email: str
    token: str
    refresh_token: str


def new_email() -> str:
    return f"person-{next(_numbers)}-{uuid.uuid4().hex[:8]}@example.org"


def today() -> date:
    return datetime.now(UTC).date()


def at(days: int, slot: int) -> str:
    """The start of the slot of that number, so many days from now, of a schedule `ALWAYS`."""
    midnight = datetime.combine(today() + timedelta(days=days), datetime.min.time())
    return f"{(midnight + timedelta(minutes=5 * slot)).isoformat()}Z"


class PublicAPI:
    """The calls that people of a clinic make, wherever it is."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def login(self, email: str, password: str = PASSWORD) -> Person:
        pair = await self.client.ok(
            "POST", "/v1/auth/login", {"email": email, "password": password}
        )
        token = pair["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        return Person(claims["sub"], email, token, pair["refresh_token"])

    async def patient(self, full_name: str = "Ada Example") -> Person:
        body = {"email": new_email(), "password": PASSWORD, "full_name": full_name}
        await self.client.ok("POST", "/v1/auth/register", body)
        return await self.login(body["email"])

    async def doctor(
        self, admin: Person, schedule: dict[str, Any] | None = ALWAYS, **profile: Any
    ) -> Person:
        body = {
            "email": new_email(),
            "password": PASSWORD,
            "full_name": "Dr. Grace",
            "role": "doctor",
        }
        made = await self.client.ok("POST", "/v1/users", body, token=admin.token)
        described = {"specialty": "cardiology", "bio": "Hearts.", "accepting_patients": True}
        target = f"/v1/doctors/{made['id']}"
        await self.client.ok("PUT", target, {**described, **profile}, token=admin.token)
        if schedule is not None:
            target = f"/v1/schedules/{made['id']}"
            await self.client.ok("PUT", target, schedule, token=admin.token)
        return await self.login(body["email"])

    async def slots(self, doctor: Person, *, days: int = 13) -> list[str]:
        until = today() + timedelta(days=days)
        target = f"/v1/schedules/{doctor.id}/slots?from={today()}&to={until}"
        found = await self.client.ok("GET", target)
        return [slot["starts_at"] for slot in found["slots"]]

    async def book(self, patient: Person, doctor: Person, starts_at: str, **more: Any) -> Any:
        body = {"doctor_id": doctor.id, "starts_at": starts_at, **more}
        return await self.client.ok("POST", "/v1/appointments", body, token=patient.token)

    async def subscribe(self, person: Person) -> str:
        """The secret of a new calendar feed."""
        made = await self.client.ok("POST", "/v1/calendars", token=person.token)
        return str(made["url"]).rpartition("/")[2].removesuffix(".ics")

    async def wait(self, patient: Person, doctor: Person, *, days: int) -> Any:
        """Wait for a time of a doctor on the date so many days from now."""
        day = (today() + timedelta(days=days)).isoformat()
        body = {"doctor_id": doctor.id, "from": day, "to": day}
        return await self.client.ok("POST", "/v1/waitlist", body, token=patient.token)

    async def announce(
        self, person: Person, appointment_id: str, content: bytes, **more: Any
    ) -> Any:
        body = {
            "appointment_id": appointment_id,
            "filename": "report.txt",
            "content_type": "text/plain",
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **more,
        }
        return await self.client.ok("POST", "/v1/files", body, token=person.token)

    async def upload(self, form: Any, content: bytes) -> int:
        """Send the bytes to the store as the form says; the store's status."""
        fields = aiohttp.FormData()
        for name, value in form["fields"].items():
            fields.add_field(name, value)
        fields.add_field("file", content, filename="any")
        async with (
            aiohttp.ClientSession() as session,
            session.post(form["url"], data=fields) as response,
        ):
            await response.read()
            return response.status

    async def attach(self, person: Person, appointment_id: str, content: bytes, **more: Any) -> Any:
        """Announce, upload and complete; the file."""
        created = await self.announce(person, appointment_id, content, **more)
        assert await self.upload(created["upload"], content) == 204
        target = f"/v1/files/{appointment_id}/{created['file']['id']}/complete"
        return await self.client.ok("POST", target, token=person.token)


class Clinic(PublicAPI):
    """A clinic of a suite that runs here, whose secrets can be read."""

    def __init__(self, client: Client, suite: RunningSuite) -> None:
        super().__init__(client)
        self.suite = suite

    async def admin(self) -> Person:
        account = self.suite.state["admin"]
        return await self.login(account["email"], account["password"])

    async def service_token(self, service: str) -> str:
        """What a service itself gets, by the key pair that the suite made for it."""
        key = (self.suite.run.secrets / f"{service}-private.pem").read_text()
        now = int(time.time())
        claims = {
            "iss": service,
            "sub": service,
            "aud": DEVELOPMENT_ISSUER,
            "iat": now,
            "exp": now + 60,
            "jti": uuid.uuid4().hex,
        }
        assertion = jwt.encode(claims, key, algorithm="RS256")
        body = {"client_assertion": assertion}
        granted = await self.client.ok("POST", "/v1/auth/service-token", body)
        token: str = granted["access_token"]
        return token
