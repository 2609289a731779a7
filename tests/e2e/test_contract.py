"""What holds for every operation, by each service's own document."""

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.e2e.client import Answer, Client, faults
from tests.e2e.clinic import at
from tests.e2e.conftest import People
from tests.e2e.documents import METHODS, Operation
from tests.e2e.examples import Desk
from tests.e2e.running import RunningSuite
from tools.environments import ROOT

AN_ID = "01hzzzzzzzzzzzzzzzzzzzzzzz"
# The contract's operations: what the documents may add to, and never lose.
CONTRACT = """
POST /v1/auth/register
POST /v1/auth/login
POST /v1/auth/refresh
POST /v1/auth/logout
GET /.well-known/jwks.json
POST /v1/auth/service-token
GET /v1/users/{id}/contact
GET /v1/users/me
PATCH /v1/users/me
DELETE /v1/users/me
GET /v1/users
POST /v1/users
GET /v1/users/{id}
PATCH /v1/users/{id}
GET /v1/doctors
GET /v1/doctors/{id}
PUT /v1/doctors/{id}
PUT /v1/schedules/{doctor_id}
GET /v1/schedules/{doctor_id}
PUT /v1/schedules/{doctor_id}/overrides/{date}
DELETE /v1/schedules/{doctor_id}/overrides/{date}
GET /v1/schedules/{doctor_id}/overrides
GET /v1/schedules/{doctor_id}/slots
GET /v1/schedules/{doctor_id}/explain
POST /v1/appointments
GET /v1/appointments
GET /v1/appointments/{id}
GET /v1/appointments/{id}/history
POST /v1/appointments/series
POST /v1/appointments/{id}/reschedule
POST /v1/appointments/{id}/cancel
POST /v1/appointments/{id}/check-in
POST /v1/appointments/{id}/complete
POST /v1/appointments/{id}/no-show
POST /v1/waitlist
GET /v1/waitlist
DELETE /v1/waitlist/{id}
POST /v1/waitlist/{id}/accept
POST /v1/files
POST /v1/files/{appointment_id}/{file_id}/complete
GET /v1/files
GET /v1/files/{appointment_id}/{file_id}
GET /v1/files/{appointment_id}/{file_id}/download
DELETE /v1/files/{appointment_id}/{file_id}
"""


def target_of(path: str) -> str:
    return re.sub(r"\{\w+\}", AN_ID, path.replace("{date}", "2026-01-01"))


async def ask(client: Client, method: str, target: str, **more: Any) -> Answer:
    """Any answer at all, the gateway's own too."""
    answer = await client.send(method, target, **more)
    assert not faults(answer), faults(answer)
    return answer


def test_every_operation_of_the_contract_is_there(every_operation: list[Operation]) -> None:
    assert not set(CONTRACT.strip().splitlines()) - {
        operation.name for operation in every_operation
    }


def test_the_documents_are_valid_and_name_only_what_they_hold(documents: dict[str, Any]) -> None:
    for document in documents.values():
        validate(document)
        for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)):
            found: Any = document
            for part in reference.removeprefix("#/").split("/"):
                assert part in found, reference
                found = found[part]


@pytest.mark.parametrize("service", ["users", "appointments", "files"])
def test_what_is_served_is_what_is_committed(documents: dict[str, Any], service: str) -> None:
    committed = ROOT / "services" / service / "openapi.json"
    assert documents[service] == json.loads(committed.read_text())


async def test_without_a_token_nothing_that_needs_one_is_answered(
    every_operation: list[Operation], client: Client
) -> None:
    secured = [one for one in every_operation if one.needs_token]
    assert len(secured) > 25
    for operation in secured:
        # A body that could not be read is no reason to tell a stranger so.
        for body in (None, b"{"):
            answer = await ask(client, operation.method, target_of(operation.path), body=body)
            assert (answer.status, answer.code) == (401, "invalid_token"), answer
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"', answer


async def test_a_bad_token_is_refused_wherever_one_is_looked_at(
    every_operation: list[Operation], client: Client
) -> None:
    for operation in every_operation:
        answer = await ask(client, operation.method, target_of(operation.path), token="no.good.one")
        assert (answer.status == 401) == operation.takes_token or answer.status in (400, 415), (
            answer
        )


async def test_another_method_is_refused_and_the_right_ones_named(
    every_operation: list[Operation], client: Client, people: People
) -> None:
    by_path: dict[str, set[str]] = {}
    for operation in every_operation:
        by_path.setdefault(target_of(operation.path), set()).add(operation.method)
    # Where a fixed path and one with an id meet, the methods of both count.
    fixed = {"/v1/users/me": {"DELETE", "GET", "PATCH"}, "/v1/users/audit": {"GET"}}
    for target in fixed:
        by_path[target] |= by_path[f"/v1/users/{AN_ID}"]
    by_path["/v1/appointments/series"] |= by_path[f"/v1/appointments/{AN_ID}"]
    by_path[f"/v1/files/erasures/{AN_ID}"] |= by_path[f"/v1/files/{AN_ID}/{AN_ID}"]
    for target, allowed in by_path.items():
        for method in {*map(str.upper, METHODS), "OPTIONS", "PROPFIND"} - allowed:
            answer = await ask(client, method, target, token=people.admin.token)
            assert (answer.status, answer.code) == (405, "method_not_allowed"), answer
            named = set(re.split(r"\s*,\s*", answer.headers["Allow"]))
            assert named - {"HEAD"} <= allowed, answer
            assert named >= fixed.get(target, allowed), answer


async def test_what_is_answered_to_somebody_is_kept_by_nobody(
    client: Client, people: People
) -> None:
    for target in ("/v1/users/me", "/v1/appointments", f"/v1/files/{AN_ID}/{AN_ID}"):
        answer = await ask(client, "GET", target, token=people.patient.token)
        assert answer.headers["Cache-Control"] == "no-store", answer
    published = await ask(client, "GET", "/.well-known/jwks.json")
    assert published.headers["Cache-Control"] == "public, max-age=300"


async def test_head_answers_as_get_without_a_body(client: Client, people: People) -> None:
    for target in ("/v1/doctors", "/v1/users/me", f"/v1/schedules/{people.doctor.id}"):
        get = await ask(client, "GET", target, token=people.patient.token)
        head = await ask(client, "HEAD", target, token=people.patient.token)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(get.body))


@pytest.mark.parametrize(
    ("target", "methods"),
    [
        ("/v1/users/me", "DELETE, GET, HEAD, PATCH"),
        ("/v1/appointments", "GET, HEAD, POST"),
        ("/v1/files", "GET, HEAD, POST"),
    ],
)
async def test_a_browser_is_told_through_the_gateway_that_its_page_may_call(
    client: Client, target: str, methods: str
) -> None:
    asked = [("Origin", "http://localhost:3000"), ("Access-Control-Request-Method", "POST")]
    answer = await ask(client, "OPTIONS", target, headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Methods"] == methods
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "target",
    ["/v1/doctors", f"/v1/doctors/{AN_ID}", "/v1/schedules/x", "/v1/files/x/y", "/v1/auth/nothing"],
)
async def test_a_callers_request_id_is_kept_where_it_is_one(client: Client, target: str) -> None:
    for given in ("abc", "x" * 128, "!~-_=/", "550e8400-e29b-41d4-a716-446655440000"):
        answer = await ask(client, "GET", target, headers=[("X-Request-Id", given)])
        assert answer.headers["X-Request-Id"] == given
    seen = set()
    for given in ("", "x" * 129, "with space", "é", "\u202e"):
        answer = await ask(client, "GET", target, headers=[("X-Request-Id", given)])
        assert re.fullmatch(r"[\x21-\x7e]{1,128}", answer.headers["X-Request-Id"])
        seen.add(answer.headers["X-Request-Id"])
    assert len(seen) == 5


async def test_a_problem_names_the_path_that_was_asked_for(client: Client) -> None:
    answer = await ask(client, "GET", "/v1/doctors/n%20o%2f?x=1")
    problem = answer.json
    assert problem["instance"] == "/v1/doctors/n%20o%2f"
    assert problem["status"] == 404
    assert problem["code"] == "not_found"


@pytest.mark.parametrize(
    "target",
    ["/", "/v1", "/v1/", "/v1/nothing", "/health", "/health/dependencies", "/metrics", "/v2/users",
     "/V1/doctors", "//v1/doctors", "/v1/doctorss", "/v1/openapi/gateway.json", "/v1/openapi/",
     "/.well-known/openid-configuration", "/v1/schedules", "/v1/users%2fme", "/targets"],
)  # fmt: skip
async def test_what_nobody_owns_is_the_gateways_plain_404(client: Client, target: str) -> None:
    answer = await ask(client, "GET", target)
    assert answer.is_of_the_gateway, answer
    assert (answer.status, answer.body) == (404, b"404 Not Found\n")


async def test_every_instance_tells_its_health_on_its_own_port(
    client: Client, suite: RunningSuite
) -> None:
    for service, urls in suite.state["instances"].items():
        for url in urls:
            answer = await client.send("GET", "/health", base=url)
            assert (answer.status, answer.json["status"]) == (200, "ok")
            assert answer.json["service"] == service
            answer = await client.send("GET", "/health/dependencies", base=url)
            assert answer.status == 200, answer
            answer = await client.send("GET", "/metrics", base=url)
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_lists_come_in_pages_that_lead_through_all(client: Client, people: People) -> None:
    target = "/v1/users?limit=1"
    seen: list[str] = []
    page = await client.ok("GET", target, token=people.admin.token)
    while True:
        assert page.keys() == {"items", "next_cursor"}
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None or len(seen) == 5:
            break
        more = f"{target}&cursor={page['next_cursor']}"
        page = await client.ok("GET", more, token=people.admin.token)
    assert len(seen) == len(set(seen)) >= 3
    whole = await client.ok("GET", "/v1/users?limit=200", token=people.admin.token)
    assert [item["id"] for item in whole["items"]][: len(seen)] == seen


async def test_if_match_is_honoured_by_every_change_of_a_versioned_thing(
    client: Client, people: People, desks: list[Desk]
) -> None:
    admin, doctor, desk = people.admin, people.doctor, desks[0]
    appointment = f"/v1/appointments/{desk.appointment}"
    file = f"/v1/files/{desk.appointment}/{desk.file}"
    waiting = f"/v1/waitlist/{desk.waiting}"
    override = f"/v1/schedules/{desk.doctor.id}/overrides/2027-02-01"
    await client.ok("PUT", override, {"closed": True}, token=desk.doctor.token)
    profile = {"specialty": "cardiology", "bio": "Hearts.", "accepting_patients": True}
    hours = {"timezone": "UTC", "weekly": {}, "slot_minutes": 5}
    stale = [("If-Match", '"999999"')]
    for method, target, body in [
        ("PATCH", "/v1/users/me", {"phone": "12345"}),
        ("DELETE", "/v1/users/me", None),
        ("PATCH", f"/v1/users/{doctor.id}", {"phone": "12345"}),
        ("PUT", f"/v1/doctors/{doctor.id}", {**profile, "bio": "Other."}),
        ("PUT", f"/v1/schedules/{doctor.id}", hours),
        ("PUT", f"/v1/schedules/{doctor.id}/overrides/2027-01-01", {"closed": True}),
        ("DELETE", override, None),
        ("POST", f"{appointment}/reschedule", {"starts_at": at(9, 0)}),
        ("POST", f"{appointment}/cancel", None),
        ("POST", f"{appointment}/check-in", None),
        ("POST", f"{appointment}/complete", None),
        ("POST", f"{appointment}/no-show", None),
        ("DELETE", file, None),
        ("DELETE", waiting, None),
        ("POST", f"{waiting}/accept", None),
    ]:
        person = desk.patient if target.startswith(waiting) else admin
        more: dict[str, Any] = {"token": person.token, "headers": stale}
        await client.refused(412, "version_mismatch", method, target, body, **more)
    for target in (
        "/v1/users/me",
        f"/v1/users/{doctor.id}",
        f"/v1/doctors/{doctor.id}",
        f"/v1/schedules/{doctor.id}",
        appointment,
        file,
    ):
        answer = await client.call("GET", target, token=admin.token)
        assert answer.headers["ETag"] == f'"{answer.json["version"]}"'


async def test_a_post_that_needs_no_input_takes_none_an_empty_one_or_an_empty_object(
    client: Client, every_operation: list[Operation], people: People
) -> None:
    posts = [one for one in every_operation if one.method == "POST" and not one.is_for_services]
    without = [one for one in posts if not one.has_body or one.body_may_be_empty]
    assert len(without) >= 5
    as_json = [("Content-Type", "application/json")]
    for operation in without:
        ask_for = (client, "POST", target_of(operation.path))
        # It was let in, and found nothing of this id; or it made something that has none yet.
        staff, status = (people.admin, 404) if "{" in operation.path else (people.doctor, 201)
        token = (people.patient if operation.is_for_patients else staff).token
        for body, headers in ((None, []), (b"", []), (b"", as_json), (b"{}", as_json)):
            answer = await ask(*ask_for, token=token, body=body, headers=headers)
            assert answer.status == status, answer
        answer = await ask(*ask_for, token=token, body=b'{"surplus": 1}', headers=as_json)
        assert answer.status == 422, answer


async def test_who_is_not_named_may_not(
    client: Client, every_operation: list[Operation], people: People
) -> None:
    callers = {"admin": people.admin, "doctor": people.doctor, "patient": people.patient}
    refused = 0
    for operation in every_operation:
        if not operation.needs_token:
            continue
        who = re.search(
            r"Who: ([a-z, ]+?)(?: \(.*\))?\.$|Who: a service", operation.item["description"]
        )
        assert who is not None, operation.name
        named = set((who[1] or "").split(", "))
        for role, person in callers.items():
            if role in named:
                continue
            target = target_of(operation.path)
            answer = await ask(client, operation.method, target, token=person.token)
            assert (answer.status, answer.code) == (403, "forbidden"), answer
            refused += 1
    assert refused > 12
