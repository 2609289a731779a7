"""What every process counts of itself, in Prometheus' text format.

Names and units follow https://prometheus.io/docs/practices/naming/. A registry belongs to one app,
so that two apps in one process (tests) don't share counts.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets of durations, in seconds."""

LAG_INTERVAL: Final = 0.25

# When each series began: a third of all that would be told, and nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped


def new_registry(service: str, version: str) -> CollectorRegistry:
    """A registry with `process_…` and `build_info{service,version,revision}`.

    The revision is what the image was built from: its build leaves it in `REVISION`.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    build = Gauge("build_info", "What runs", ["service", "version", "revision"], registry=registry)
    build.labels(service, version, os.environ.get("REVISION") or "unknown").set(1)
    return registry


@asynccontextmanager
async def measured_loop_lag(
    registry: CollectorRegistry, interval: float = LAG_INTERVAL
) -> AsyncIterator[None]:
    """Measures, as long as the context lives, how late the event loop calls what is due.

    `event_loop_lag_seconds`: everything else that waits for its turn waits as long. A timer is the
    only way to see it, every `interval` seconds.
    """
    histogram = Histogram(
        "event_loop_lag_seconds",
        "How late the event loop was to call a timer",
        buckets=SECONDS,
        registry=registry,
    )
    loop = asyncio.get_running_loop()

    timer: asyncio.TimerHandle

    def tick(due: float) -> None:
        nonlocal timer
        now = loop.time()
        histogram.observe(max(0.0, now - due))
        timer = loop.call_at(now + interval, tick, now + interval)

    first = loop.time() + interval
    timer = loop.call_at(first, tick, first)
    try:
        yield
    finally:
        timer.cancel()
