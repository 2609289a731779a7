"""What goes wrong at a clinic, by its callers' faults and by its own, all of it with canaries."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.e2e.canary_walk import CanaryWalk, Cast
from tests.e2e.client import Client
from tests.e2e.clinic import ALWAYS, at, today
from tests.e2e.running import RunningSuite, until

JSON = [("Content-Type", "application/json")]


class CanaryFaults:
    """Goes on where a walk has ended, with its canaries."""

    def __init__(self, client: Client, suite: RunningSuite, walk: CanaryWalk, cast: Cast) -> None:
        self._canaries = walk.canaries
        self._client = client
        self._suite = suite
        self._walk = walk
        self._cast = cast

    async def run(self) -> None:
        """All of it, and then until all of it is logged."""
        await self._bad_bodies()
        await self._bad_places()
        await self._bad_headers()
        await self._while_the_stores_hang()
        await self._while_users_is_away()
        await self._while_appointments_is_away()
        await self._until_logged()

    async def _bad_bodies(self) -> None:
        """What is no JSON, or not what an operation takes: in values, in names, in all shapes."""
        plant, call, token = self._canaries.plant, self._client.call, self._cast.admin.token
        account = self._walk.account("a refused one")
        wrong: list[dict[str, Any]] = [{**account, name: [account[name]]} for name in account]
        wrong += [{**account, name: {account[name]: 1}} for name in account]
        wrong += [
            {**account, "birth_date": plant("a wrong date")},
            {**account, "timezone": plant("a wrong zone", "Europe/{}")},
            {**account, "phone": plant("a wrong phone")},
            {**account, "email": plant("a wrong e-mail", "{} at example")},
            {**account, "full_name": plant("a wrong name", "{}\n")},
            {**account, "birth_date": "2999-01-01"},
            {**account, plant("a field's name"): plant("a field's value")},
        ]
        for body in wrong:
            assert (await call("POST", "/v1/auth/register", body)).status == 422, body
        for raw in (
            plant("no JSON", '{"email": "{}').encode(),
            plant("no JSON", '"{}').encode() + b"\xff",
            plant("a list", '["{}"]').encode(),
        ):
            await call("POST", "/v1/auth/login", raw)
            await call("POST", "/v1/appointments", raw, token=token)
            await call("POST", "/v1/files", raw, token=token)
        day = {**ALWAYS, "weekly": {plant("a weekday"): [{"start": plant("an hour"), "end": "1"}]}}
        await call("PUT", f"/v1/schedules/{self._cast.doctor.id}", day, token=token)
        large = json.dumps({"email": plant("a large body") * 9000}).encode()
        await call("POST", "/v1/auth/login", large)
        media_type = [("Content-Type", f"text/{plant('a media type')}")]
        await call("POST", "/v1/auth/login", large[:99], headers=media_type)

    async def _bad_places(self) -> None:
        """Canaries in paths and queries, of this API and of none."""
        plant = self._canaries.plant
        for path in (
            "/{}",
            "/v1/{}",
            "/v1/users/{}",
            "/v1/users/{}/name",
            "/v1/doctors/{}",
            "/v1/doctors/{}%20%2f/x",
            "/v1/schedules/{}",
            "/v1/schedules/{}/explain?starts_at=2999-01-01T00:00:00Z",
            f"/v1/schedules/{{}}/slots?from={today()}&to={today()}",
            f"/v1/schedules/{self._cast.doctor.id}/overrides/{{}}",
            "/v1/appointments/{}",
            "/v1/appointments/{}/history",
            "/v1/appointments/{}/{}",
            "/v1/files/{}/{}",
            f"/v1/files/{self._cast.appointment}/{{}}/download",
            "/v1/auth/login?email={}",
            "/v1/doctors?q={}&specialty={}",
            "/v1/doctors?cursor={}",
            "/v1/doctors?{}=1",
            "/v1/users?role={}&status={}",
            "/v1/appointments?from={}&patient_id={}",
            "/v1/files?appointment_id={}",
            f"/v1/schedules/{self._cast.doctor.id}/slots?from={{}}&to={{}}",
            "/.well-known/jwks.json?{}",
            "/v1/openapi/users.json?{}",
        ):
            target = plant("a path", path)
            for method in ("GET", "POST", "DELETE"):
                await self._client.send(method, target, token=self._cast.admin.token)
        await self._client.send(plant("a method"), "/v1/doctors")

    async def _bad_headers(self) -> None:
        """Canaries in headers, and tokens that are not quite; X-Request-Id is kept by contract."""
        plant, token = self._canaries.plant, self._cast.patient.token
        head, claims, signature = token.split(".")
        tampered = f"{head}.{claims}.{signature[::-1]}"
        for value in (
            plant("a token", "Bearer {}"),
            plant("a scheme", "{} abc"),
            plant("no scheme"),
            plant("a login", "Basic {}"),
            f"Bearer {self._canaries.keep('tampered token', tampered)}",
            f"Bearer {token} {plant('more than a token')}",
        ):
            for target in ("/v1/users/me", "/v1/appointments", "/v1/files?appointment_id=a"):
                await self._client.send("GET", target, headers=[("Authorization", value)])
        target = f"/v1/users/{self._cast.patient.id}"
        for name, value in (
            ("traceparent", "00-{}-0000000000000001-01"),
            ("tracestate", "a={}"),
            ("If-Match", "{}"),
            ("Idempotency-Key", "a {}"),
            ("User-Agent", "{}/1.0"),
            ("Cookie", "session={}"),
            ("Referer", "http://example.org/{}"),
            ("X-Forwarded-For", "{}"),
            ("Host", "{}.example"),
            ("Expect", "{}"),
            ("Content-Encoding", "{}"),
            ("Origin", "http://{}.example"),
        ):
            headers = [*JSON, (name, plant(f"the header {name}", value))]
            await self._client.send("GET", target, token=token, headers=headers)
            await self._client.send("PATCH", target, b"{}", token=token, headers=headers)
            for path in ("/v1/appointments", "/v1/files"):
                await self._client.send("POST", path, b"{}", token=token, headers=headers)

    async def _post(self, path: str, body: dict[str, Any], token: str) -> int:
        key = [("Idempotency-Key", self._canaries.plant("an idempotency key"))]
        raw = json.dumps(body).encode()
        answer = await self._client.send("POST", path, raw, token=token, headers=[*JSON, *key])
        return answer.status

    def _booking(self, doctor_id: str) -> dict[str, Any]:
        reason = self._canaries.plant("a reason", "pain: '{}'")
        return {"doctor_id": doctor_id, "starts_at": at(5, 0), "reason": reason}

    async def _while_the_stores_hang(self) -> None:
        token = self._cast.patient.token
        booked = f"/v1/appointments/{self._cast.appointment}"
        file = self._walk.announcement(self._cast, self._walk.file_name())
        with self._suite.stopped("emulator"):
            statuses = await asyncio.gather(
                self._post("/v1/appointments", self._booking(self._cast.doctor.id), token),
                self._post(f"{booked}/cancel", {"reason": self._canaries.plant("why")}, token),
                self._post(f"{booked}/reschedule", {"starts_at": at(6, 0)}, token),
                self._post("/v1/files", file, token),
            )
        assert set(statuses) == {503}

    async def _while_users_is_away(self) -> None:
        """Of a doctor whom nobody has heard of, so that users has to be asked."""
        unknown = self._canaries.plant("a doctor's id")
        slots = f"/v1/schedules/{unknown}/slots?from={today()}&to={today()}"
        with self._suite.stopped("users-1"):
            assert (
                await self._post(
                    "/v1/appointments", self._booking(unknown), self._cast.patient.token
                )
                == 503
            )
            await self._client.send("GET", slots, token=self._cast.patient.token)
        await self._suite.until_whole()
        with self._suite.deregistered("users"):
            await until(lambda: self._suite.healthy("users") == 0)
            assert (
                await self._post(
                    "/v1/appointments", self._booking(unknown), self._cast.patient.token
                )
                == 503
            )
            body = {"email": self._canaries.plant("an e-mail"), "password": "of no consequence"}
            assert await self._post("/v1/auth/login", body, "none") == 503

    async def _while_appointments_is_away(self) -> None:
        with self._suite.deregistered("appointments"):
            await until(lambda: self._suite.healthy("appointments") == 0)
            file = self._walk.announcement(self._cast, self._walk.file_name())
            assert await self._post("/v1/files", file, self._cast.patient.token) == 503

    async def _until_logged(self) -> None:
        """The gateway writes several lines at once: those that come now are the last of ours."""
        await self._suite.until_whole()
        log = self._suite.run.logs / "gateway.log"
        for _ in range(2):
            before = log.stat().st_size
            await self._client.ok("GET", "/v1/doctors")
            await until(lambda size=before: log.stat().st_size > size)  # type: ignore[misc]
