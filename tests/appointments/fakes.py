"""A users service that knows who the tests say it knows, over real HTTP."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class FakeUsers:
    """Doctors and patients by id. `away` makes every answer a 503, as a load balancer's is."""

    doctors: dict[str, dict[str, object]] = field(default_factory=dict)
    patients: dict[str, dict[str, object]] = field(default_factory=dict)
    contacts: dict[str, dict[str, object]] = field(default_factory=dict)
    away: bool = False
    service_token: str = "service-token"
    asked: list[str] = field(default_factory=list)
    asking: int = 0
    most_at_once: int = 0

    def add_doctor(
        self,
        doctor_id: str,
        name: str = "Dr. Who",
        accepting: bool = True,
        specialty: str = "medicine",
    ) -> str:
        self.doctors[doctor_id] = {
            "id": doctor_id,
            "full_name": name,
            "accepting_patients": accepting,
            "specialty": specialty,
        }
        return doctor_id

    def add_patient(self, patient_id: str, name: str = "Pat", role: str = "patient") -> str:
        self.patients[patient_id] = {
            "id": patient_id,
            "full_name": name,
            "role": role,
            "status": "active",
        }
        return patient_id

    def add_contact(self, user_id: str, email: str, timezone: str = "UTC") -> None:
        person = {"full_name": "Pat", "phone": None}
        self.contacts[user_id] = {"email": email, "timezone": timezone, **person}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/doctors", self._list)
        app.router.add_get("/v1/doctors/{id}", self._doctor)
        app.router.add_get("/v1/users/{id}/name", self._patient)
        app.router.add_get("/v1/users/{id}/contact", self._contact)
        app.router.add_post("/v1/auth/service-token", self._token)
        return app

    def _answer(self, request: web.Request, found: dict[str, object] | None) -> web.Response:
        self.asked.append(request.path)
        if self.away:
            return web.Response(status=503, text="no target")
        if found is None:
            return web.json_response({"code": "not_found"}, status=404)
        return web.json_response(found)

    async def _doctor(self, request: web.Request) -> web.Response:
        self.asking += 1
        self.most_at_once = max(self.most_at_once, self.asking)
        # Others get their turn: were they to ask too, they would be here at the same time.
        await asyncio.sleep(0)
        self.asking -= 1
        return self._answer(request, self.doctors.get(request.match_info["id"]))

    async def _list(self, request: web.Request) -> web.Response:
        """A page of a specialty, in the order of ids; the cursor is the last one."""
        wanted, after = request.query["specialty"], request.query.get("cursor", "")
        found = [
            doctor
            for doctor_id, doctor in sorted(self.doctors.items())
            if doctor["specialty"] == wanted and doctor_id > after
        ]
        limit = int(request.query["limit"])
        assert 1 <= limit <= 200
        more = found[limit - 1]["id"] if len(found) > limit else None
        return self._answer(request, {"items": found[:limit], "next_cursor": more})

    async def _patient(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.service_token}":
            return web.json_response({"code": "invalid_token"}, status=401)
        return self._answer(request, self.patients.get(request.match_info["id"]))

    async def _contact(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.service_token}":
            return web.json_response({"code": "invalid_token"}, status=401)
        return self._answer(request, self.contacts.get(request.match_info["id"]))

    async def _token(self, request: web.Request) -> web.Response:
        assert (await request.json())["client_assertion"]
        return self._answer(request, {"access_token": self.service_token, "expires_in": 300})
