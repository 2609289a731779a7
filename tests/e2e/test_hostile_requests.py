"""Ids, dates, instants, limits, cursors and headers that are none."""

import asyncio
import re
from urllib.parse import quote

import pytest

from tests.e2e.client import Client
from tests.e2e.clinic import ALWAYS, at, today
from tests.e2e.conftest import People
from tests.e2e.documents import Operation
from tests.e2e.examples import Desk, let_in
from tests.e2e.running import RunningSuite

pytestmark = pytest.mark.usefixtures("no_failures")

NO_IDS = [
    "", ".", "..", "../", "%2e%2e", "%2e%2e%2f", "..%2f..%2fetc%2fpasswd", "%00", "a%00", "%ff",
    "%c0%af", "%ed%a0%80", "%", "%zz", "%25", "%2500", "%20", "+", "*", "~", "a;b", "a,b", "a:b",
    "a%2fb", "a%5cb", "x" * 81, "x" * 5000, quote("🌻"), quote("é"), "null%0d%0aX-Injected:%201",
    "{id}", "$(id)", "'%20OR%20'1'='1", "doctor%23x", "%23", "schedule%23current",
]  # fmt: skip


def target_of(operation: Operation, **ids: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1], "x"), operation.path)


async def test_ids_that_are_none(
    client: Client, every_operation: list[Operation], desks: list[Desk]
) -> None:
    desk = desks[0]
    with_ids = [one for one in every_operation if one.parameters("path")]
    assert len(with_ids) > 20
    for operation in with_ids:
        if operation.is_for_services:
            continue  # a person is told so before the id is looked at
        for name in operation.parameters("path"):
            if name == "date":
                continue
            for no_id in NO_IDS:
                ids = {"date": "2027-01-01", "appointment_id": desk.appointment, name: no_id}
                target = target_of(operation, **ids)
                token = let_in(desk, operation).token
                answer = await client.call(operation.method, target, token=token)
                # 405: without its id it may be the path of a list. 400: of no text at all.
                assert answer.status in (400, 404, 405), answer
                assert "X-Injected" not in answer.headers


NO_DATES = [
    "2026-02-30", "2026-02-29", "0000-00-00", "0000-01-01", "10000-01-01", "2026-13-01",
    "2026-1-1", "20260101", "2026-W01-1", "2026-001", "tomorrow", "", "%00", "-001-01-01",
    "2026-01-01T00:00:00Z", "%EF%BC%92026-01-01", "+2026-01-01", "2026-01-01%20", "1e9", "0",
]  # fmt: skip
EXTREME_DATES = ["0001-01-01", "9999-12-31"]


async def test_dates_that_are_none(client: Client, people: People) -> None:
    schedule = f"/v1/schedules/{people.doctor.id}"
    for day in NO_DATES:
        for target in (
            f"{schedule}/slots?from={day}&to={today()}",
            f"{schedule}/slots?from={today()}&to={day}",
            f"{schedule}/overrides?from={day}",
            f"{schedule}/overrides?to={day}",
        ):
            await client.refused(422, "validation_failed", "GET", target)
        if not day.endswith("Z"):
            target = f"/v1/appointments?from={day}"
            await client.refused(
                422, "validation_failed", "GET", target, token=people.patient.token
            )
        target, more = f"{schedule}/overrides/{day}", {"token": people.doctor.token}
        status = 422 if day else 404
        code = "validation_failed" if day else "not_found"
        if day:
            await client.refused(status, code, "PUT", target, {"closed": True}, **more)
            await client.refused(status, code, "DELETE", target, **more)
        if "%" not in day:
            body = {"birth_date": day}
            await client.refused(
                422, "validation_failed", "PATCH", "/v1/users/me", body, token=people.patient.token
            )


async def test_the_first_and_the_last_days_of_the_calendar(
    client: Client, desks: list[Desk]
) -> None:
    desk = desks[0]
    schedule = f"/v1/schedules/{desk.doctor.id}"
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Niue"):
        hours = {**ALWAYS, "timezone": zone}
        await client.ok("PUT", schedule, hours, token=desk.doctor.token)
        for day in EXTREME_DATES:
            slots = await client.ok("GET", f"{schedule}/slots?from={day}&to={day}")
            assert slots["slots"] == []
            override = f"{schedule}/overrides/{day}"
            body = {"hours": [{"start": "00:00", "end": "24:00"}]}
            answer = await client.call("PUT", override, body, token=desk.doctor.token)
            assert answer.status in (200, 422), answer
            assert await client.ok("GET", f"{schedule}/slots?from={day}&to={day}")
            listed = await client.ok("GET", f"{schedule}/overrides?from={day}&to={day}")
            assert len(listed["items"]) == (answer.status == 200)
            if answer.status == 200:
                await client.ok("DELETE", override, token=desk.doctor.token)
            for bounds in (f"from={day}", f"to={day}", f"from={day}&to={day}"):
                target = f"/v1/appointments?{bounds}"
                answer = await client.call("GET", target, token=desk.patient.token)
                assert answer.status in (200, 422), answer
        wide = f"{schedule}/slots?from=0001-01-01&to=9999-12-31"
        await client.refused(422, "validation_failed", "GET", wide)
        back = f"{schedule}/slots?from=2027-01-02&to=2027-01-01"
        await client.refused(422, "validation_failed", "GET", back)


NO_INSTANTS = [
    "2027-01-01T10:00:00", "2027-01-01 10:00:00Z", "2027-01-01T10:00:00+24:00",
    "2027-01-01T10:00:00+00:60", "2027-01-01T10:00:00+0000", "2027-01-01T10:00Z",
    "2027-01-01T24:00:00Z", "2027-01-01T10:00:60Z", "2027-02-30T10:00:00Z", "2027-01-01",
    "0000-00-00T00:00:00Z", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00", "1767261600", "now", "", "2027-01-01T10:00:00.Z",
    "2027-01-01T10:00:00.1234567890Z", "２027-01-01T10:00:00Z", "2027-01-01T10:00:00Z\n",
]  # fmt: skip
EXTREME_INSTANTS = {
    "0001-01-01T00:00:00Z": "too_soon",
    "0001-01-01T23:59:59.999999999-23:59": "too_soon",
    "1970-01-01T00:00:00Z": "too_soon",
    "9999-12-31T23:59:59.999999Z": "too_far",
    "9999-12-31T23:59:59+23:59": "too_far",
}


async def test_instants_that_are_none(client: Client, people: People, desks: list[Desk]) -> None:
    token = people.patient.token
    move = f"/v1/appointments/{desks[0].appointment}/reschedule"
    explain = f"/v1/schedules/{people.doctor.id}/explain"
    for instant in NO_INSTANTS:
        body = {"doctor_id": people.doctor.id, "starts_at": instant}
        refused = (422, "validation_failed")
        await client.refused(*refused, "POST", "/v1/appointments", body, token=token)
        body = {"starts_at": instant}
        await client.refused(*refused, "POST", move, body, token=desks[0].patient.token)
        await client.refused(*refused, "GET", f"{explain}?starts_at={quote(instant)}")
        if instant != "2027-01-01":
            target = f"/v1/appointments?from={quote(instant)}"
            await client.refused(*refused, "GET", target, token=token)


async def test_instants_at_both_ends_of_time(
    client: Client, people: People, desks: list[Desk]
) -> None:
    token = people.patient.token
    move = f"/v1/appointments/{desks[1].appointment}/reschedule"
    for instant, code in EXTREME_INSTANTS.items():
        body = {"doctor_id": people.doctor.id, "starts_at": instant}
        await client.refused(422, code, "POST", "/v1/appointments", body, token=token)
        body = {"starts_at": instant}
        await client.refused(422, code, "POST", move, body, token=desks[1].patient.token)
        explain = f"/v1/schedules/{people.doctor.id}/explain?starts_at={quote(instant)}"
        explained = await client.ok("GET", explain)
        assert (explained["bookable"], explained["code"]) == (False, code)
        for bound in ("from", "to"):
            target = f"/v1/appointments?{bound}={quote(instant)}"
            await client.ok("GET", target, token=token)


async def test_limits_and_cursors_that_are_none(
    client: Client, every_operation: list[Operation], desks: list[Desk]
) -> None:
    desk = desks[0]
    lists = [
        one
        for one in every_operation
        if "cursor" in one.parameters("query") and not one.is_for_services
    ]
    assert len(lists) >= 5
    for operation in lists:
        target, token = (
            target_of(operation, doctor_id=desk.doctor.id),
            let_in(desk, operation).token,
        )
        target += f"?appointment_id={desk.appointment}&doctor_id={desk.doctor.id}"
        for limit in ("-1", "0", "201", "1e9", "abc", "", "1.5", "%00", "9" * 400, "0x10",
                      "%EF%BC%91", "null", "NaN"):  # fmt: skip
            answer = await client.call("GET", f"{target}&limit={limit}", token=token)
            assert (answer.status, answer.code) == (422, "validation_failed"), answer
        for limit in ("1", "200"):
            await client.ok("GET", f"{target}&limit={limit}", token=token)
        for cursor in ("x", "AAAA", "%00", "=", "....", "e30", "a" * 1024, quote("🌻"), "-_-_",
                       "AAAAAAAAAAAAbnVsbA", "bnVsbA"):  # fmt: skip
            answer = await client.call("GET", f"{target}&cursor={cursor}", token=token)
            assert (answer.status, answer.code) == (422, "bad_cursor"), answer
        answer = await client.call("GET", target, token=token)
        assert answer.json.keys() == {"items", "next_cursor"}


async def test_a_tampered_cursor_is_no_cursor(client: Client, people: People) -> None:
    token = people.admin.token
    cursor = (await client.ok("GET", "/v1/users?limit=1", token=token))["next_cursor"]
    assert cursor is not None
    tampered = [
        cursor[:-1], cursor + "A", cursor[1:], cursor.swapcase(), cursor[::-1],
        *(cursor[:i] + ("A" if cursor[i] != "A" else "B") + cursor[i + 1 :]
          for i in range(0, len(cursor) - 1, 3)),
    ]  # fmt: skip
    for other in tampered:
        target = f"/v1/users?limit=1&cursor={other}"
        await client.refused(422, "bad_cursor", "GET", target, token=token)
    # One of another list, or of other filters, leads nowhere.
    for elsewhere in (f"/v1/users?role=patient&cursor={cursor}", f"/v1/doctors?cursor={cursor}"):
        await client.refused(422, "bad_cursor", "GET", elsewhere, token=token)


async def test_headers_that_are_none(client: Client, people: People) -> None:
    token, me = people.patient.token, "/v1/users/me"
    for value in ('"', '"1', "1", "W/", 'W/"1', '"1" "2"', '"a" b', "'1'", ",,", '"\u00e9"'):
        headers = [("If-Match", value)]
        await client.refused(400, "bad_header", "PATCH", me, {}, token=token, headers=headers)
    for value in ('"0"', 'W/"1"', '""', '"-1"', '"1e0"', '"' + "9" * 400 + '"', '"x", "y"'):
        headers = [("If-Match", value)]
        await client.refused(412, "version_mismatch", "PATCH", me, {}, token=token, headers=headers)
    version = (await client.ok("GET", me, token=token))["version"]
    twice = [("If-Match", '"0"'), ("If-Match", f'"{version}"')]
    await client.ok("PATCH", me, {}, token=token, headers=twice)

    body = {"doctor_id": people.doctor.id, "starts_at": at(1, 3)}
    book = ("POST", "/v1/appointments", body)
    for key in ("", "with space", "é", "x" * 256, "\u202e", "a\tb"):
        headers = [("Idempotency-Key", key)]
        await client.refused(400, "bad_header", *book, token=token, headers=headers)
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    await client.refused(400, "bad_header", *book, token=token, headers=twice)

    good = ("Authorization", f"Bearer {token}")
    for headers in (
        [good, good],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", f"Basic {token}")],
        [("Authorization", token)],
        [("Authorization", f"Bearer {token} {token}")],
        [("Authorization", f"Bearer {token},Bearer {token}")],
        [("Authorization", "Bearer " + "x" * 8000)],
        [("Authorization", f'Bearer "{token}"')],
    ):
        await client.refused(401, "invalid_token", "GET", me, headers=headers)
    await client.ok("GET", me, headers=[("authorization", f"bearer   {token}")])


RAW = [
    b"GET /v1/doctors?q=%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/doctors?q=\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/doctors/\xf0\x9f\x8c\xbb HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/users/../doctors HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/doctors/../../health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/doctors/%2e%2e/%2e%2e/metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://127.0.0.1/v1/doctors HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/doctors#fragment HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/doctors HTTP/1.1\r\n\r\n",
    b"GET /v1/doctors HTTP/1.1\r\nHost: \r\n\r\n",
    b"GET /v1/doctors HTTP/1.1\r\nHost: [\r\n\r\n",
    b"GET /v1/doctors HTTP/1.1\r\nHost: x\r\nCookie: \xff\xfe\r\n\r\n",
    b"GET /v1/doctors HTTP/1.1\r\nHost: x\r\nX-Request-Id: \xff\r\nX-Forwarded-For: \xff\r\n\r\n",
    b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: \xff/json\r\n"
    b"Content-Length: 2\r\n\r\n{}",
    b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=x\r\n"
    b"Content-Length: 2\r\n\r\n{}",
    b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nExpect: the unexpected\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"BREW /v1/doctors HTTP/1.1\r\nHost: x\r\n\r\n",
    b"get /v1/doctors HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", RAW, ids=range(len(RAW)))
async def test_what_no_client_library_would_send(suite: RunningSuite, request_bytes: bytes) -> None:
    port = int(suite.gateway.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head, blank, rest = request_bytes.partition(b"\r\n\r\n")
    writer.write(head + b"\r\nConnection: close" + blank + rest)
    answer = await reader.read()
    statuses = [int(line.split()[1]) for line in re.findall(rb"^HTTP/1\.1 \d+", answer, re.M)]
    # A 501 of the gateway is no failure of ours, but says what was asked for is not there.
    assert statuses, answer
    assert all(status < 500 or status == 501 for status in statuses), answer
    assert not (statuses[-1] == 200 and b"# HELP" in answer), "metrics are not for callers"
    writer.close()
    await writer.wait_closed()
