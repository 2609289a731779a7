"""What people do at a clinic, by every operation, each text of theirs a canary."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp

from tests.e2e.canary_factors import walk_factors
from tests.e2e.client import Client
from tests.e2e.clinic import ALWAYS, Clinic, Person, at, today
from tests.e2e.logs import Canaries
from tests.e2e.running import SCALE, RunningSuite


@dataclass(frozen=True)
class Cast:
    """Who takes part, and what they have together."""

    admin: Person
    doctor: Person
    patient: Person
    appointment: str


class CanaryWalk:
    """Goes through the whole API; the canaries are what must not be in any log afterwards."""

    def __init__(self, client: Client, suite: RunningSuite, canaries: Canaries) -> None:
        self.canaries = canaries
        self._client = client
        self._clinic = Clinic(client, suite)

    async def run(self) -> Cast:
        """All of it; gives back who and what is still there then."""
        admin = self._keep(await self._clinic.admin())
        doctor, patient = await self._doctor(admin), await self._patient()
        appointment = await self._appointments(doctor, patient)
        cast = Cast(admin, doctor, patient, appointment)
        await self._days(cast)
        await self._calendars(cast)
        await self._sessions()
        await walk_factors(
            self._client,
            self.canaries,
            admin,
            self.account("somebody careful"),
            self._keep,
            self._clinic.login,
        )
        await self._services()
        await self._accounts(cast)
        await self._files(cast)
        await self._leaving(cast)
        for service in SCALE:
            await self._client.ok("GET", f"/v1/openapi/{service}.json")
        return cast

    def _keep(self, person: Person) -> Person:
        self.canaries.keep("access token", person.token)
        self.canaries.keep("signature of an access token", person.token.rpartition(".")[2])
        self.canaries.keep("refresh token", person.refresh_token)
        return person

    def account(self, who: str) -> dict[str, Any]:
        """What somebody says to have an account."""
        plant = self.canaries.plant
        number = int(self.canaries.digits(f"{who}'s day", "{}"))
        birth_date = f"{1901 + number % 60}-0{1 + number % 9}-{10 + number % 18}"
        return {
            "email": plant(f"{who}'s e-mail", "Some.{}+one@Patients.example"),
            "password": plant(f"{who}'s password", 'a "long" {} passwörd'),
            "full_name": plant(f"{who}'s name", 'Zoë "Zo" {} d\'Été 王'),
            "timezone": "Europe/Lisbon",
            "phone": self.canaries.digits(f"{who}'s phone", "+{} x 7"),
            "birth_date": self.canaries.keep(f"{who}'s birth date", birth_date),
        }

    async def _patient(self) -> Person:
        account = self.account("a patient")
        await self._client.ok("POST", "/v1/auth/register", account)
        return self._keep(await self._clinic.login(account["email"], account["password"]))

    async def _doctor(self, admin: Person) -> Person:
        account = {**self.account("a doctor"), "role": "doctor"}
        made = await self._client.ok("POST", "/v1/users", account, token=admin.token)
        described = {
            "specialty": self.canaries.plant("a specialty", "{} & more"),
            "bio": self.canaries.plant("a bio", 'Hearts,\n"{}" – and ♥.'),
            "accepting_patients": True,
        }
        doctor = self._keep(await self._clinic.login(account["email"], account["password"]))
        target = f"/v1/doctors/{made['id']}"
        await self._client.ok("PUT", target, described, token=doctor.token)
        await self._client.ok("PUT", f"/v1/schedules/{made['id']}", ALWAYS, token=doctor.token)
        return doctor

    async def _sessions(self) -> None:
        """Sign-ins that fail, refreshes, a spent token used again, and the end."""
        account = self.account("somebody")
        call, plant = self._client.call, self.canaries.plant
        for weak in ("short", account["email"], account["full_name"]):
            await call("POST", "/v1/auth/register", {**account, "password": weak})
        await call("POST", "/v1/auth/register", account)
        await call("POST", "/v1/auth/register", account)
        for email, password in (
            (account["email"], plant("a wrong password")),
            (plant("nobody's e-mail", "{}@nowhere.example"), account["password"]),
            (account["email"].swapcase(), account["password"]),
        ):
            body = {"email": email, "password": password, "otp": plant("a one-time code")}
            await call("POST", "/v1/auth/login", body)
        person = self._keep(await self._clinic.login(account["email"], account["password"]))
        spent = newest = person.refresh_token
        for _ in range(2):
            body = {"refresh_token": newest}
            newest = (await self._client.ok("POST", "/v1/auth/refresh", body))["refresh_token"]
            self.canaries.keep("refresh token", newest)
        for token in (spent, newest, plant("an unknown refresh token")):
            await call("POST", "/v1/auth/refresh", {"refresh_token": token})
        again = self._keep(await self._clinic.login(account["email"], account["password"]))
        await call("POST", "/v1/auth/logout", {"refresh_token": again.refresh_token})
        await call("POST", "/v1/auth/refresh", {"refresh_token": again.refresh_token})

    async def _services(self) -> None:
        """What services say to get tokens, good and bad."""
        token = self.canaries.keep(
            "service token", await self._clinic.service_token("appointments")
        )
        missing = self.canaries.plant("an id")
        for part in ("name", "contact"):
            await self._client.call("GET", f"/v1/users/{missing}/{part}", token=token)
        for assertion in (self.canaries.plant("an assertion"), token):
            body = {"client_assertion": assertion}
            await self._client.refused(
                401, "invalid_client", "POST", "/v1/auth/service-token", body
            )

    async def _accounts(self, cast: Cast) -> None:
        """What people and admins change of accounts, and how they look for them."""
        ok, call = self._client.ok, self._client.call
        own = self.account("a changed patient")
        kept = {name: own[name] for name in ("full_name", "phone", "birth_date")}
        await ok("PATCH", "/v1/users/me", kept, token=cast.patient.token)
        other = self.account("another patient")
        kept = {name: other[name] for name in ("full_name", "phone", "birth_date")}
        target = f"/v1/users/{cast.patient.id}"
        await ok("PATCH", target, kept, token=cast.admin.token)
        await call("PATCH", target, {**kept, "role": "admin"}, token=cast.patient.token)
        await call("PATCH", target, kept, token=cast.doctor.token)
        await ok("GET", f"/v1/users/audit?subject_id={cast.patient.id}", token=cast.admin.token)
        for field in ("full_name", "email"):
            await ok("GET", f"/v1/users?q={quote(other[field], safe='')}", token=cast.admin.token)
        await call("GET", f"/v1/users?q={quote(other['phone'], safe='')}", token=cast.doctor.token)

    async def _appointments(self, doctor: Person, patient: Person) -> str:
        """Books, asks, moves, cancels, each with keys and reasons; leaves one that is booked."""
        plant, ok = self.canaries.plant, self._client.ok

        async def post(target: str, body: dict[str, Any], status: int) -> Any:
            key = [("Idempotency-Key", plant("an idempotency key", "key-{}"))]
            for _ in range(2):
                answer = await self._client.call(
                    "POST", target, body, token=patient.token, headers=key
                )
                assert answer.status == status, answer
            await self._client.call(
                "POST", target, {**body, "starts_at": at(9, 9)}, token=patient.token, headers=key
            )
            return answer.json

        def booking(slot: int) -> dict[str, Any]:
            reason = plant("a reason", 'pain, "{}"\nand fever 🌡')
            return {"doctor_id": doctor.id, "starts_at": at(3, slot), "reason": reason}

        made = await post("/v1/appointments", booking(0), 201)
        kept = await post("/v1/appointments", booking(20), 201)
        await self._client.call("POST", "/v1/appointments", booking(0), token=patient.token)
        await ok("GET", f"/v1/schedules/{doctor.id}/explain?starts_at={at(3, 0)}")
        target = f"/v1/appointments/{made['id']}"
        await post(f"{target}/reschedule", {"starts_at": at(4, 0)}, 200)
        for _ in range(2):
            body = {"reason": plant("a reason to cancel", "the {} is ill; 100%")}
            await self._client.call("POST", f"{target}/cancel", body, token=patient.token)
        await ok("GET", f"{target}/history", token=doctor.token)
        return str(kept["id"])

    async def _days(self, cast: Cast) -> None:
        """What becomes of appointments on their day, and days that are not as others."""
        ok, token = self._client.ok, cast.doctor.token
        for slot, ends in ((40, ("check-in", "complete")), (41, ("no-show",))):
            reason = self.canaries.plant("a reason")
            made = await self._clinic.book(cast.patient, cast.doctor, at(3, slot), reason=reason)
            for end in ends:
                answer = await self._client.call(
                    "POST", f"/v1/appointments/{made['id']}/{end}", token=token
                )
                assert answer.status in (200, 409), answer  # nobody has missed what is to come
            await ok("GET", f"/v1/appointments/{made['id']}", token=token)
        overrides = f"/v1/schedules/{cast.doctor.id}/overrides"
        await ok("PUT", f"{overrides}/{today()}", {"closed": True}, token=token)
        await ok("GET", f"{overrides}?from={today()}&to={today()}")
        await ok("DELETE", f"{overrides}/{today()}", token=token)
        await ok("GET", f"/v1/schedules/{cast.doctor.id}")

    async def _calendars(self, cast: Cast) -> None:
        """Searches, and calendars by their secrets: good, replaced and ended ones."""
        specialty = quote(self.canaries.plant("a specialty looked for", "{} & more"), safe="")
        await self._client.ok("GET", f"/v1/slots?specialty={specialty}&from={today()}&to={today()}")
        for person in (cast.patient, cast.doctor):
            for _ in range(2):
                secret = await self._clinic.subscribe(person)
                self.canaries.keep("a calendar's secret", secret)
                target = f"/v1/calendars/{secret}.ics"
                answer = await self._client.call("GET", target)
                assert answer.status == 200, answer
        await self._client.ok("DELETE", "/v1/calendars", token=cast.doctor.token)
        await self._client.refused(404, "not_found", "GET", target)

    async def _files(self, cast: Cast) -> None:
        """Files that arrive, that are not what they claim, and what is signed for them."""
        content = self._content()
        name = self.file_name()
        created = await self._clinic.announce(
            cast.patient, cast.appointment, content, filename=name
        )
        self._keep_form(created["upload"])
        assert await self._clinic.upload(created["upload"], content) == 204
        target = f"/v1/files/{cast.appointment}/{created['file']['id']}"
        await self._client.ok("POST", f"{target}/complete", token=cast.patient.token)
        link = await self._client.ok("GET", f"{target}/download", token=cast.doctor.token)
        self._keep_link(link["url"])
        async with aiohttp.ClientSession() as session, session.get(link["url"]) as response:
            assert await response.read() == content
        redirect = await self._client.call(
            "GET", f"{target}/download?redirect=true", token=cast.patient.token
        )
        self._keep_link(redirect.headers["Location"])
        async with aiohttp.ClientSession() as session:
            forged = link["url"].replace("X-Amz-Signature=", "X-Amz-Signature=0")
            async with session.get(forged) as response:
                assert response.status == 403
        await self._client.ok("GET", target, token=cast.patient.token)
        listed = f"/v1/files?appointment_id={cast.appointment}"
        await self._client.ok("GET", listed, token=cast.admin.token)
        await self._client.ok("DELETE", target, token=cast.patient.token)
        for claims in (
            {"sha256": hashlib.sha256(self._content()).hexdigest()},
            {"content_type": "application/pdf"},
        ):
            await self._refused_file(cast, claims)
        for bad in (self.file_name() + "/..", self.file_name() + "\0"):
            body = self.announcement(cast, bad)
            await self._client.call("POST", "/v1/files", body, token=cast.patient.token)

    async def _leaving(self, cast: Cast) -> None:
        """Somebody takes everything along and closes the account, and is erased everywhere."""
        patient, ok = await self._patient(), self._client.ok
        reason = self.canaries.plant("a reason", "Something {} private")
        made = await self._clinic.book(patient, cast.doctor, at(8, 100), reason=reason)
        await ok("GET", "/v1/users/me/export", token=patient.token)
        await ok("DELETE", "/v1/users/me", token=patient.token)
        target, token = f"/v1/appointments/{made['id']}", cast.admin.token
        async with asyncio.timeout(60):
            while made["patient_name"] != "(erased)":
                await asyncio.sleep(0.05)
                made = await ok("GET", target, token=token)

    async def _refused_file(self, cast: Cast, claims: dict[str, str]) -> None:
        content = self._content()
        created = await self._clinic.announce(
            cast.patient, cast.appointment, content, filename=self.file_name(), **claims
        )
        self._keep_form(created["upload"])
        assert await self._clinic.upload(created["upload"], content) == 204
        target = f"/v1/files/{cast.appointment}/{created['file']['id']}/complete"
        refused = await self._client.call("POST", target, token=cast.patient.token)
        assert refused.status == 422, refused

    def _content(self) -> bytes:
        return self.canaries.plant("a file's content", "All is {}.\n").encode()

    def file_name(self) -> str:
        """One that is taken."""
        return self.canaries.plant("a file's name", "Befund „{}“ (1).txt")

    def announcement(self, cast: Cast, filename: str) -> dict[str, Any]:
        """What is said of a file before it is sent."""
        content = self._content()
        return {
            "appointment_id": cast.appointment,
            "filename": filename,
            "content_type": "text/plain",
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }

    def _keep_form(self, form: Any) -> None:
        for name in ("policy", "x-amz-signature"):
            self.canaries.keep(f"{name} of a form", form["fields"][name])

    def _keep_link(self, url: str) -> None:
        self.canaries.keep("a signed link", url)
        self.canaries.keep(
            "a link's signature", parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]
        )
