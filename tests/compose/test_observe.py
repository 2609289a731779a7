"""The profile `observe`: Prometheus in its container, over the suite in containers.

Its image can't be had where these tests run, so the machine's own Prometheus runs in its place: the
same command, the same files, the same place in the network. Grafana isn't run here.
"""

import json
import shutil
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compose.running import Compose, call, until
from tests.observe.files import alerts, expressions

pytestmark = [pytest.mark.compose, pytest.mark.prometheus]

Ask = Callable[[str], Any]

# What there must be once somebody has signed in through the gateway.
AFTER_A_SIGN_IN = (
    'http_requests_total{job="users",route="POST /v1/auth/login",status="200"}',
    'http_request_duration_seconds_count{job="users",route="POST /v1/auth/login",status="200"}',
    'http_requests_in_flight{job="users"}',
    'store_calls_total{job="users",store="mysql",result="ok"}',
    'store_call_duration_seconds_count{job="users",store="mysql"}',
    'store_pool_connections{job="users",store="mysql"}',
    'store_pool_limit{job="users",store="mysql"}',
    'store_pool_waiting{job="users",store="mysql"}',
    'gateway_requests_total{job="gateway",service="users",status="200"}',
    'gateway_request_duration_seconds_count{job="gateway",service="users"}',
    'gateway_targets{job="gateway",service="files",state="healthy"} == 1',
    *(
        f'{name}{{job="{job}"}}'
        for job in ("users", "appointments", "files", "gateway")
        for name in (
            "build_info",
            "event_loop_lag_seconds_count",
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_start_time_seconds",
        )
    ),
)


# How fast the machine is that tests run on says nothing of us.
OF_THE_MACHINE = frozenset({"EventLoopBlocked", "LatencyHigh"})


@pytest.fixture(scope="module")
def ask(compose: Compose, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Asks Prometheus' HTTP API, and gives back what is in `data` of its answer."""
    override = tmp_path_factory.mktemp("observe") / "override.json"
    binaries = [shutil.which(name) for name in ("prometheus", "promtool")]
    override.write_text(
        json.dumps(
            {
                "services": {
                    "prometheus": {
                        "image": "python:3.13-slim",  # for the C library that Debian's links to
                        "pull_policy": "never",
                        "entrypoint": ["prometheus"],
                        "volumes": [
                            f"{path}:/usr/bin/{Path(str(path)).name}:ro" for path in binaries
                        ],
                    }
                }
            }
        )
    )

    def observed(*arguments: str) -> None:
        files = ("--file=docker-compose.yml", f"--file={override}")
        compose(*files, "--profile=observe", *arguments)

    def asked(path: str) -> Any:
        answer = call(f"{compose.prometheus}/api/v1/{path}")
        assert answer["status"] == "success", answer
        return answer["data"]

    try:
        observed("up", "--wait", "--no-deps", "prometheus")
        yield asked
    finally:
        # The other tests bring the suite down and up again, without this profile.
        observed("rm", "--stop", "--force", "prometheus")


def query(ask: Ask, expression: str) -> list[Any]:
    rows: list[Any] = ask(f"query?{urllib.parse.urlencode({'query': expression})}")["result"]
    return rows


def up(ask: Ask) -> Counter[str]:
    """How many instances of each service were reached."""
    targets = ask("targets?state=active")["activeTargets"]
    return Counter(target["labels"]["job"] for target in targets if target["health"] == "up")


def test_every_instance_is_found_and_asked(compose: Compose, ask: Ask) -> None:
    jobs = Counter(users=1, appointments=1, files=1, gateway=1)
    until(lambda: up(ask) == jobs)
    scale = ("up", "--wait", "--no-deps", "--no-recreate")
    compose(*scale, "--scale=appointments=2", "appointments")
    try:
        until(lambda: up(ask) == jobs + Counter(appointments=1))
    finally:
        compose(*scale, "--scale=appointments=1", "appointments")
    until(lambda: up(ask) == jobs)
    for target in ask("targets?state=active")["activeTargets"]:
        assert target["labels"]["instance"].count(".") == 3  # an address without its port


def test_every_rule_is_loaded_and_evaluated(ask: Ask) -> None:
    def loaded() -> list[dict[str, Any]]:
        return [rule for group in ask("rules")["groups"] for rule in group["rules"]]

    until(lambda: {rule["health"] for rule in loaded()} == {"ok"})
    assert {rule["name"] for rule in loaded() if rule["type"] == "alerting"} == set(alerts())


def test_every_expression_of_rules_and_dashboards_can_be_evaluated(ask: Ask) -> None:
    for where, expression in expressions():
        assert isinstance(query(ask, expression), list), where


def test_what_happens_can_be_seen(compose: Compose, ask: Ask) -> None:
    admin = json.loads(compose.suite_json())["admin"]
    assert call(f"{compose.gateway}/v1/auth/login", admin)["access_token"]
    unseen = list(AFTER_A_SIGN_IN)

    def seen() -> bool:
        unseen[:] = [expression for expression in unseen if not query(ask, expression)]
        return not unseen

    try:
        until(seen)
    except AssertionError as failure:
        raise AssertionError(f"never seen: {unseen}") from failure


def test_no_alert_is_even_begun_while_all_is_well(ask: Ask) -> None:
    begun: set[str] = set()

    def none_is() -> bool:
        begun.clear()
        begun.update(alert["labels"]["alertname"] for alert in ask("alerts")["alerts"])
        return begun <= OF_THE_MACHINE

    # Until: an instance that has just gone was missed for a moment.
    try:
        until(none_is)
    except AssertionError as failure:
        raise AssertionError(f"begun: {begun}") from failure
