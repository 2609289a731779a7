"""A patient's page of another origin, in a real browser, on the suite in containers."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.compose.browser import PageServer
from tests.compose.running import Compose, call

pytestmark = [pytest.mark.compose, pytest.mark.browser]

PASSWORD = "a long enough password"
CONTENT = "All is well, says Dr. Müller.\n"


def email() -> str:
    return f"page-{uuid.uuid4().hex}@clinic.example"


@pytest.fixture(scope="module")
def task(compose: Compose) -> dict[str, Any]:
    """What the page is told: a doctor's open time, and who is to book it."""
    v1 = f"{compose.gateway}/v1"
    admin = json.loads(compose.suite_json())["admin"]
    token = call(f"{v1}/auth/login", admin)["access_token"]
    account = {"email": email(), "password": PASSWORD, "full_name": "Dr. Grace", "role": "doctor"}
    doctor = call(f"{v1}/users", account, token=token)["id"]
    described = {"specialty": "pages", "bio": "Hearts.", "accepting_patients": True}
    call(f"{v1}/doctors/{doctor}", described, token=token, method="PUT")
    hours = [{"start": "00:00", "end": "24:00"}]
    weekly = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), hours)
    schedule = {"timezone": "UTC", "slot_minutes": 30, "weekly": weekly}
    call(f"{v1}/schedules/{doctor}", schedule, token=token, method="PUT")
    today = datetime.now(UTC).date()
    days = f"from={today}&to={today + timedelta(days=3)}"
    times = call(f"{v1}/schedules/{doctor}/slots?{days}")["slots"]
    return {
        "gateway": compose.gateway,
        "object": f"{compose.emulator}/reports/nothing",
        "doctor_id": doctor,
        "starts_at": times[-1]["starts_at"],
        "email": email(),
        "password": PASSWORD,
        "content": CONTENT,
    }


def test_a_page_books_uploads_and_reads_problems(
    compose: Compose, page_server: PageServer, task: dict[str, Any]
) -> None:
    report = page_server.report_of(page_server.origin, task)
    assert report.pop("store") in (403, 404)  # without a signature; but the page can read that
    assert report == {
        "steps": [
            "POST 201",  # registered
            "POST 200",  # signed in
            "POST 201",  # booked
            "POST 201",  # announced
            "POST 200",  # completed
            "GET 200",  # the link
            "GET 404",
            "DELETE 412",
            "GET 401",
        ],
        "etag": '"1"',
        "request_id": "page-1",
        "upload_host": compose.emulator,
        "upload": 204,
        "completed": "available",
        "downloaded": CONTENT,
        "problem": [404, "not_found"],
        "stale": [412, "version_mismatch"],
        "unsigned": 'Bearer error="invalid_token"',
    }


def test_a_page_that_nobody_named_reads_nothing(
    page_server: PageServer, task: dict[str, Any]
) -> None:
    report = page_server.report_of(page_server.other_origin, {**task, "email": email()})
    refused = "TypeError: Failed to fetch"  # which is all that a browser tells
    assert report == {"steps": [], "error": refused, "store": refused}
