"""What the gateway logs: the suite's fields, and a line a request without its secrets."""

import asyncio
import json
import re
import signal

import pytest

from gateway import __version__
from gateway.tracing import request_id, trace_id
from tests.gateway.processes import next_event, running
from tests.gateway.support import DEADLINE, Recorder, World, get, ok, read_all

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ROOT = b"Root=1-5759e988-bd862e3fe1be46a994272793"


async def ask(port: int, request: bytes) -> None:
    """Send a request, and wait until the gateway has closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await read_all(reader)
    writer.close()


async def test_a_line_a_request(world: World) -> None:
    url = await world.target(Recorder(ok(b"ok", b"X-Request-Id: the-targets")))
    world.register(users=[url])
    async with running(world, instance="gateway-7") as (process, port):
        await ask(
            port, get("/v1/users/me?secret=1", f"traceparent: {PARENT}", "X-Request-Id: mine")
        )
        line = await next_event(process, "request")
    assert isinstance(line.pop("duration_ms"), float)
    assert TIME.fullmatch(str(line.pop("time")))
    assert line == {
        "level": "info",
        "event": "request",
        "service": "gateway",
        "version": __version__,
        "instance": "gateway-7",
        "request_id": "the-targets",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "method": "GET",
        "route": "/v1/users/*",
        "routed_to": "users",
        "status": 200,
        "target": url,
        "target_status": 200,
    }


async def test_what_no_target_answered_has_the_same_fields(world: World) -> None:
    world.register()
    async with running(world) as (process, port):
        await ask(port, get("/v1/users", "X-Request-Id: mine", method="PROPFIND"))
        unavailable = await next_event(process, "request")
        await ask(port, get("/nowhere"))
        unrouted = await next_event(process, "request")
        await ask(port, b"no HTTP\r\n\r\n")
        refused = await next_event(process, "request")
    assert unavailable.keys() == unrouted.keys() == refused.keys()
    assert (unavailable["request_id"], unavailable["method"]) == ("mine", "_OTHER")
    assert re.fullmatch("[0-9a-f]{32}", str(unavailable["trace_id"]))
    assert [
        (line["status"], line["route"], line["routed_to"], line["target_status"])
        for line in (unavailable, unrouted, refused)
    ] == [
        (503, "/v1/users", "users", None),
        (404, "unrouted", None, None),
        (400, "unrouted", None, None),
    ]


async def test_every_event_has_the_suites_fields_and_no_secret(world: World) -> None:
    recorder = Recorder()
    world.register(appointments=[await world.target(recorder)])
    async with running(world, instance="gateway-7") as (process, port):
        await asyncio.wait_for(recorder.checked.wait(), DEADLINE)
        secrets = ("Authorization: Bearer s3cret", "X-Forwarded-For: 203.0.113.77")
        await ask(port, get("/v1/calendars/s3cret.ics?token=s3cret", *secrets))
        await ask(port, get("/s3cret", *secrets, method="S3CRET"))
        await ask(port, b"s3cret\r\n\r\n")
        world.targets_file.write_text("nonsense")
        await next_event(process, "targets_file_refused")
        world.register()
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert b"s3cret" not in output.lower()
    assert b"203.0.113.77" not in output
    lines = [json.loads(line) for line in output.splitlines()]
    assert lines[-1]["event"] == "stopped"
    for line in lines:
        assert TIME.fullmatch(line["time"])
        assert line["level"] in {"info", "warning", "error"}
        assert (line["service"], line["version"]) == ("gateway", __version__)
        assert line["instance"] == "gateway-7"


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ((b"a", b"b"), "a"),
        ((b"", b"b"), "b"),
        ((b"a b", b"~" * 128), "~" * 128),
        ((b"a" * 129, b"\xe9", b"a\n"), None),
    ],
)
def test_a_request_id_is_the_first_that_is_well_formed(
    candidates: tuple[bytes, ...], expected: str | None
) -> None:
    assert request_id(*candidates) == expected


@pytest.mark.parametrize(
    ("traceparent", "trace", "expected"),
    [
        (PARENT, ROOT, "0af7651916cd43dd8448eb211c80319c"),
        ("", ROOT, "5759e988bd862e3fe1be46a994272793"),
        ("00-nonsense", b"Self=1-1-2;" + ROOT, "5759e988bd862e3fe1be46a994272793"),
        (PARENT + ", " + PARENT, b"Root=1-\xff", None),
    ],
)
def test_a_trace_id_is_that_of_traceparent_and_else_the_root(
    traceparent: str, trace: bytes, expected: str | None
) -> None:
    assert trace_id(traceparent, trace) == expected


async def test_a_client_that_left_is_logged_as_460(world: World) -> None:
    asked = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health"):
            asked.set()
            await reader.read()

    world.register(users=[await world.target(script)])
    async with running(world) as (process, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/v1/users"))
        await asyncio.wait_for(asked.wait(), DEADLINE)
        writer.close()
        line = await next_event(process, "request")
    assert (line["status"], line["target_status"]) == (460, None)


async def test_no_other_target_is_tried_for_a_client_that_left(
    world: World, silent_url: str
) -> None:
    other = await world.target(Recorder(well=False))  # so that the first turn is the silent one's
    world.register(users=[other, silent_url])
    async with running(world, connect_timeout_seconds="0.2") as (process, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/v1/users"))
        writer.close()
        line = await next_event(process, "request")
    assert (line["status"], line["target"]) == (460, None)


async def test_the_log_of_requests_can_be_turned_off(world: World) -> None:
    world.register(users=[await world.target(Recorder())])
    async with running(world, access_log="false") as (process, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/v1/users"))
        await read_all(reader)
        writer.close()
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert events[-1] == "stopped"
    assert "request" not in events
