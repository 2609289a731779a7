"""The users' database ends and comes back: what needs it says so, and all else goes on."""

import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.compose.running import Compose, until

pytestmark = pytest.mark.compose

PASSWORD = "a long enough password"
Send = Callable[..., tuple[int, Any]]


@pytest.fixture
def send(compose: Compose) -> Send:
    """Sends a request to the gateway: its status and what it says."""

    def send(
        method: str, path: str, body: object = None, token: str | None = None
    ) -> tuple[int, Any]:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = Request(f"{compose.gateway}{path}", data, headers, method=method)
        try:
            with urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    return send


def login(send: Send, email: str, password: str = PASSWORD) -> tuple[int, Any]:
    return send("POST", "/v1/auth/login", {"email": email, "password": password})


def test_without_mysql_tokens_stay_good_and_nobody_signs_in(compose: Compose, send: Send) -> None:
    email = f"mysql-{uuid.uuid4().hex[:8]}@example.org"
    person = {"email": email, "password": PASSWORD, "full_name": "Test Person"}
    assert send("POST", "/v1/auth/register", person)[0] == 201
    token = login(send, email)[1]["access_token"]
    admin = json.loads(compose.suite_json())["admin"]
    staff = login(send, admin["email"], admin["password"])[1]["access_token"]
    made = send("POST", "/v1/users", {**person, "email": f"d{email}", "role": "doctor"}, staff)
    doctor = made[1]["id"]
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    weekly = {day: [{"start": "00:00", "end": "24:00"}] for day in days}
    hours = {"timezone": "UTC", "slot_minutes": 30, "weekly": weekly}
    assert send("PUT", f"/v1/schedules/{doctor}", hours, staff)[0] == 200
    booking = {"doctor_id": doctor, "starts_at": "2100-01-01T00:00:00Z"}

    compose("stop", "mysql")
    try:
        # A question about a doctor may still be answered for its lease of a second.
        until(lambda: send("POST", "/v1/appointments", booking, token)[0] == 503)
        refused = send("POST", "/v1/appointments", booking, token)
        assert (refused[0], refused[1]["code"]) == (503, "users_unavailable")
        for answered in (login(send, email), send("GET", "/v1/users/me", token=token)):
            assert (answered[0], answered[1]["code"]) == (503, "store_unavailable")
        assert send("GET", "/v1/appointments", token=token) == (
            200,
            {"items": [], "next_cursor": None},
        )
        assert send("GET", f"/v1/schedules/{doctor}")[0] == 200
        assert send("GET", "/.well-known/jwks.json")[0] == 200
        # It is no reason to replace an instance.
        assert compose.states()["users-1"] == "healthy"
    finally:
        compose("start", "mysql")
    until(lambda: login(send, email)[0] == 200)
    assert send("POST", "/v1/appointments", booking, token)[1]["code"] == "too_far"
