"""What an instance says of itself, and how it drains."""

import asyncio

from servicekit.app import build_app
from servicekit.health import HEALTH, METRICS
from tests.servicekit.conftest import Kit


async def test_health_looks_at_nothing_outside(kit: Kit) -> None:
    async def away() -> None:
        raise ConnectionError("password=hunter2")

    kit.app[HEALTH].checks["store"] = away
    response = await kit.client.get("/health")
    assert response.status == 200
    assert await response.json() == {"status": "ok", "service": "test", "version": "1"}


async def test_dependencies_have_a_row_each(kit: Kit) -> None:
    async def there() -> None:
        return None

    async def away() -> None:
        raise ConnectionError("password=hunter2")

    checks = kit.app[HEALTH].checks
    checks["store"] = there
    assert (await kit.client.get("/health/dependencies")).status == 200
    checks["peer"] = away
    response = await kit.client.get("/health/dependencies")
    assert response.status == 503
    assert await response.json() == {
        "status": "unavailable",
        "dependencies": [
            {"name": "store", "status": "ok"},
            {"name": "peer", "status": "unavailable", "error": "ConnectionError"},
        ],
    }


async def test_a_draining_instance_says_so_serves_on_and_closes_connections(kit: Kit) -> None:
    before = await kit.client.get("/v1/things/a")
    assert before.headers.get("Connection", "keep-alive") != "close"
    kit.app[HEALTH].draining = True
    health = await kit.client.get("/health")
    assert (health.status, await health.json()) == (503, {"status": "draining"})
    served = await kit.client.get("/v1/things/a")
    refused = await kit.client.get("/v1/failures/away")
    assert (served.status, refused.status) == (200, 503)
    assert served.headers["Connection"] == refused.headers["Connection"] == "close"


async def test_metrics_have_a_label_a_route_whatever_is_asked_for(kit: Kit) -> None:
    for n in range(20):
        await kit.client.get(f"/v1/things/a{n}")
        await kit.client.get(f"/nowhere/{n}")
        await kit.client.request("PROPFIND", f"/v1/things/a{n}")
    text = await (await kit.client.get("/metrics")).text()
    counts = {line for line in text.splitlines() if line.startswith("http_requests_total")}
    assert counts == {
        'http_requests_total{route="GET /v1/things/{id}",status="200"} 20.0',
        'http_requests_total{route="unrouted",status="404"} 20.0',
        'http_requests_total{route="unrouted",status="405"} 20.0',
    }
    assert 'http_requests_in_flight{route="GET /metrics"} 1.0' in text  # this very request


async def test_two_apps_do_not_count_together() -> None:
    apps = [
        build_app(service="test", version="1", operations=(), problems={}, contexts=())
        for _ in range(2)
    ]
    apps[0][METRICS].of_route("GET /x").observe(200, 0.1)
    assert b"GET /x" in apps[0][METRICS].expose()
    assert b"GET /x" not in apps[1][METRICS].expose()


async def test_requests_at_once_keep_their_names_apart(kit: Kit) -> None:
    async def name(n: int) -> bool:
        headers = {"X-Request-Id": f"r{n}"}
        answer = await kit.client.get("/v1/failures/away", headers=headers)
        return bool((await answer.json())["request_id"] == f"r{n}")

    assert all(await asyncio.gather(*map(name, range(50))))
