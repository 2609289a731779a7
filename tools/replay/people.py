"""The people of a replay: doctors with hours, and patients who register when they first book."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import date

from tools.replay.api import API, Account, Answer, RefusedError, accepted
from tools.replay.plan import CLOSES, OPENS, SLOT_MINUTES, TIMEZONE, DoctorKey

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Identities:
    """Names for everything of one replay, the same again for the same seed on the same day.

    A day, because that is how long an idempotency key is kept: begun again today, a replay goes on
    with its own accounts and keys, and tomorrow it begins anew with others.
    """

    def __init__(self, seed: int, today: date) -> None:
        self._run = f"{seed} {today}"

    def email(self, kind: str, name: str) -> str:
        """An address that is nobody's (RFC 2606)."""
        return f"{kind}-{self._digest('email', kind, name).hex()[:24]}@replay.example"

    def password(self, email: str) -> str:
        """The password of an account."""
        return urlsafe_b64encode(self._digest("password", email)).decode().rstrip("=")

    def key(self, *parts: str) -> str:
        """An idempotency key."""
        return self._digest("key", *parts).hex()

    def _digest(self, *parts: str) -> bytes:
        return hashlib.sha256("\0".join((self._run, *parts)).encode()).digest()


class Doctors:
    """Makes doctors, as the clinic's staff does."""

    def __init__(self, api: API, staff: Account, identities: Identities, horizon_days: int) -> None:
        self._api = api
        self._staff = staff
        self._identities = identities
        hours = [{"start": f"{OPENS:%H:%M}", "end": f"{CLOSES:%H:%M}"}]
        self._schedule = {
            "timezone": TIMEZONE,
            "weekly": dict.fromkeys(_WEEKDAYS, hours),
            "slot_minutes": SLOT_MINUTES,
            "horizon_days": horizon_days,
        }

    async def make(self, key: DoctorKey) -> str:
        """Make a doctor with hours, or find the one made before; the id.

        Raises:
            RefusedError, GaveUpError: it wasn't done.
        """
        email = self._identities.email("doctor", f"{key.number} {key.neighbourhood}")
        account = {
            "email": email,
            "password": self._identities.password(email),
            "full_name": f"Dr. {key.neighbourhood[:150]} {key.number + 1}",
            "role": "doctor",
            "timezone": TIMEZONE,
        }
        answer = await self._call("make doctor", "POST", "/v1/users", account)
        if answer.code == "email_taken":
            doctor_id = await self._find(email)
        else:
            doctor_id = str(accepted("make doctor", answer, 201).body["id"])
        described = {"specialty": key.neighbourhood[:100], "bio": "", "accepting_patients": True}
        for operation, path, body in (
            ("describe doctor", f"/v1/doctors/{doctor_id}", described),
            ("set hours", f"/v1/schedules/{doctor_id}", self._schedule),
        ):
            accepted(operation, await self._call(operation, "PUT", path, body), 200)
        return doctor_id

    async def _find(self, email: str) -> str:
        answer = await self._api.call(
            "find doctor",
            "GET",
            "/v1/users",
            token=await self._staff.token(),
            params={"role": "doctor", "q": email},
        )
        for user in accepted("find doctor", answer, 200).body["items"]:
            if user["email"] == email:
                return str(user["id"])
        raise RefusedError("find doctor", answer)

    async def _call(
        self, operation: str, method: str, path: str, body: Mapping[str, object]
    ) -> Answer:
        token = await self._staff.token()
        return await self._api.call(operation, method, path, token=token, body=body)


class Patient:
    """A patient, registered when first needed. `visits` is how many bookings are still to come."""

    def __init__(self, api: API, identities: Identities, name: str) -> None:
        email = identities.email("patient", name)
        self._api = api
        self._name = name
        self._account = Account(api, email, identities.password(email))
        self._lock = asyncio.Lock()
        self._id: str | None = None
        self.visits = 0

    async def sign_in(self) -> tuple[str, str]:
        """The patient's id and a good access token. Raises RefusedError, GaveUpError."""
        async with self._lock:
            if self._id is None:
                self._id = await self._register()
        return self._id, await self._account.token()

    async def _register(self) -> str:
        body = {
            "email": self._account.email,
            "password": self._account.password,
            "full_name": f"Patient {self._name[:100]}",
            "timezone": TIMEZONE,
        }
        answer = await self._api.call("register", "POST", "/v1/auth/register", body=body)
        if answer.code != "email_taken":
            return str(accepted("register", answer, 201).body["id"])
        token = await self._account.token()
        answer = await self._api.call("read account", "GET", "/v1/users/me", token=token)
        return str(accepted("read account", answer, 200).body["id"])
