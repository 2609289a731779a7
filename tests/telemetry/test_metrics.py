"""What a process counts of itself."""

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from telemetry.metrics import measured_loop_lag, new_registry


def test_what_runs_is_told_with_the_revision_of_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVISION", "abc123")
    labels = {"service": "users", "version": "1.2", "revision": "abc123"}
    assert new_registry("users", "1.2").get_sample_value("build_info", labels) == 1
    monkeypatch.delenv("REVISION")
    labels["revision"] = "unknown"
    assert new_registry("users", "1.2").get_sample_value("build_info", labels) == 1


def test_the_process_is_measured() -> None:
    text = generate_latest(new_registry("users", "1")).decode()
    assert "process_resident_memory_bytes" in text
    assert "process_open_fds" in text


async def test_a_blocked_loop_is_seen_and_an_ended_measurement_ends() -> None:
    registry = CollectorRegistry()

    def value(name: str) -> float:
        found = registry.get_sample_value(f"event_loop_lag_seconds_{name}")
        assert found is not None
        return found

    async with measured_loop_lag(registry, interval=0.001):
        while not value("count"):  # noqa: ASYNC110 - the timer is what is tested
            await asyncio.sleep(0.001)
        before = value("sum")
        time.sleep(0.05)  # noqa: ASYNC251 - what is measured
        seen = value("count")
        while value("count") == seen:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.001)
        assert value("sum") - before > 0.04
    ended = value("count")
    await asyncio.sleep(0.01)
    assert value("count") == ended
