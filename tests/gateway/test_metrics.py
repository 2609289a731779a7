"""What the gateway counts, as its admin port tells it."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import CannotListenError, Gateway
from gateway.targets import TargetState
from tests.gateway.conftest import StartGateway
from tests.gateway.support import DEADLINE, Recorder, World, exchange, get, read_all, status_of

Samples = dict[tuple[str, tuple[str, ...]], float]

SERVICES = {"users", "appointments", "files", "none"}


async def scrape(gateway: Gateway) -> Samples:
    """All samples: (name, label values in the order of the labels' names) -> value."""
    assert gateway.admin_port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.admin_port)
    writer.write(get("/metrics"))
    head, _, body = (await read_all(reader)).partition(b"\r\n\r\n")
    writer.close()
    assert b"\r\nContent-Type: text/plain; version=" in head
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def of(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one name that are not 0, by their label values."""
    return {labels: value for (each, labels), value in samples.items() if each == name and value}


async def test_counts_requests_by_service_and_status(
    world: World, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(users=[await world.target(Recorder())], admin_port=0)
    for path in ("/v1/users", "/v1/users/me", "/v1/files", "/nowhere"):
        await exchange(gateway, get(path))
    await exchange(gateway, b"no HTTP\r\n\r\n")
    samples = await scrape(gateway)
    assert of(samples, "gateway_requests_total") == {
        ("users", "200"): 2,
        ("files", "503"): 1,
        ("none", "404"): 1,
        ("none", "400"): 1,
    }
    assert of(samples, "gateway_own_answers_total") == {("503",): 1, ("404",): 1, ("400",): 1}
    durations = of(samples, "gateway_request_duration_seconds_count")
    assert durations == {("users",): 2, ("files",): 1, ("none",): 2}


async def test_counts_what_is_in_flight(world: World, start_gateway: StartGateway) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health"):
            asked.set()
            await go_on.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    gateway = await start_gateway(files=[await world.target(script)], admin_port=0)
    request = asyncio.create_task(exchange(gateway, get("/v1/files")))
    await asyncio.wait_for(asked.wait(), DEADLINE)
    assert of(await scrape(gateway), "gateway_requests_in_flight") == {("files",): 1}
    go_on.set()
    assert status_of(await request) == 204
    samples = await scrape(gateway)
    assert of(samples, "gateway_requests_in_flight") == {}
    assert ("gateway_requests_in_flight", ("users",)) in samples  # also while it is 0


async def test_an_answer_that_is_no_use_is_the_gateways_own(
    world: World, start_gateway: StartGateway
) -> None:
    nonsense = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    gateway = await start_gateway(users=[await world.target(Recorder(nonsense))], admin_port=0)
    assert status_of(await exchange(gateway, get("/v1/users"))) == 502
    assert of(await scrape(gateway), "gateway_own_answers_total") == {("502",): 1}


async def test_tells_how_many_targets_are_in_every_state(
    world: World, start_gateway: StartGateway
) -> None:
    recorder = Recorder()
    gateway = await start_gateway(users=[await world.target(recorder)], admin_port=0)
    await asyncio.wait_for(recorder.checked.wait(), DEADLINE)
    samples = await scrape(gateway)
    assert of(samples, "gateway_targets") == {("users", "healthy"): 1}
    assert {labels for name, labels in samples if name == "gateway_targets"} == {
        (service, str(state)) for service in SERVICES - {"none"} for state in TargetState
    }


async def test_counts_connections_that_were_not_taken(
    start_gateway: StartGateway, refusing_url: str, silent_url: str
) -> None:
    gateway = await start_gateway(
        users=[refusing_url, silent_url], connect_timeout_seconds=0.1, admin_port=0
    )
    assert status_of(await exchange(gateway, get("/v1/users"))) == 504
    samples = await scrape(gateway)
    assert of(samples, "gateway_connect_failures_total") == {
        ("refused", "users"): 1,
        ("timeout", "users"): 1,
    }
    assert ("gateway_connect_failures_total", ("timeout", "files")) in samples


async def test_tells_what_runs_and_how_late_the_loop_is(start_gateway: StartGateway) -> None:
    samples = await scrape(await start_gateway(admin_port=0))
    (build,) = [labels for name, labels in samples if name == "build_info"]
    assert "gateway" in build
    assert any(name == "event_loop_lag_seconds_count" for name, _ in samples)


@pytest.mark.parametrize("status", [b"299", b"418", b"987"])
async def test_no_client_and_no_target_chooses_a_label(
    world: World, start_gateway: StartGateway, status: bytes
) -> None:
    odd = Recorder(b"HTTP/1.1 " + status + b" Odd\r\nContent-Length: 0\r\n\r\n")
    gateway = await start_gateway(users=[await world.target(odd)], admin_port=0)
    for method in ("GET", "BREW", "get", "x" * 1000, "TRACE", "CONNECT"):
        for path in (
            "/v1/users/${jndi:x}",
            '/v1/users/\xff"\\',
            "/%00",
            "*",
            "http://evil/v1/users",
        ):
            headers = ("X-Request-Id: evil", "traceparent: evil", "X-Amzn-Trace-Id: Root=evil")
            await exchange(gateway, get(path, *headers, method=method))
    for name, values in {
        "gateway_requests_total": {"200", "other", "418", "404", "400", "405", *SERVICES},
        "gateway_own_answers_total": {"404", "400", "405"},
        "gateway_request_duration_seconds_count": SERVICES,
        "gateway_requests_in_flight": SERVICES,
        "gateway_connect_failures_total": {"refused", "timeout", *SERVICES},
        "gateway_targets": {*map(str, TargetState), *SERVICES},
    }.items():
        labels = {value for each, row in await scrape(gateway) if each == name for value in row}
        assert labels
        assert labels <= values


async def test_the_admin_port_is_on_its_own_host(start_gateway: StartGateway) -> None:
    with pytest.raises(CannotListenError, match=r"can't listen on 203\.0\.113\.1:"):
        await start_gateway(admin_port=0, admin_host="203.0.113.1")
