"""`./dev bench`: every figure beside a baseline of the same run, as a table and as JSON.

Exit code 0 whatever the figures say: a benchmark is not a test. On a busy machine look at the
ratios, and run it again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from tools import (
    bench_appointments,
    bench_gateway,
    bench_suite,
    bench_tokens,
    bench_traces,
    bench_users,
)

Rows = list[dict[str, Any]]


async def _users() -> Rows:
    figures = await bench_users.measure()
    return [
        _rate("GET /v1/users/me on MySQL", figures["users_rps"], figures["bare_rps"], figures, 0.25)
    ]


async def _gateway() -> Rows:
    figures = await bench_gateway.measure()
    ours, plain = figures["gateway_rps"], figures["plain_rps"]
    tail = figures["p99_ratio"]
    return [
        _rate("the gateway, small JSON", ours, plain, figures, 0.9),
        {
            "figure": "the gateway, p99",
            "unit": "ms",
            "ours": round(figures["gateway_p99_ms"], 2),
            "baseline": round(figures["plain_p99_ms"], 2),
            "ratio": round(tail, 2),
            "reach": "≤ 1.2",
            "reached": tail <= 1.2,
        },
    ]


def _rate(
    figure: str, ours: float, baseline: float, figures: dict[str, float], reach: float
) -> dict[str, Any]:
    return {
        "figure": figure,
        "unit": "requests/s",
        "ours": round(ours),
        "baseline": round(baseline),
        "ratio": round(figures["rps_ratio"], 2),
        "reach": f"≥ {reach}",
        "reached": figures["rps_ratio"] >= reach,
    }


MEASUREMENTS: dict[str, Callable[[], Coroutine[Any, Any, Rows]]] = {
    "appointments": bench_appointments.measure,
    "tokens": bench_tokens.measure,
    "users": _users,
    "gateway": _gateway,
    "suite": bench_suite.measure,
    "traces": bench_traces.measure,
}


def main() -> None:
    """Measure what is named, or all; print the table and write it to `.run/bench.json`."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="PART", help=", ".join(MEASUREMENTS))
    parser.add_argument("--json", type=Path, default=Path(".run/bench.json"), metavar="FILE")
    arguments = parser.parse_args()
    unknown = set(arguments.only) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    rows: Rows = []
    print(_line("figure", "unit", "ours", "baseline", "ratio", "reach", ""))
    for part in arguments.only or MEASUREMENTS:
        for row in uvloop.run(MEASUREMENTS[part]()):
            rows.append(row)
            print(_table_row(row), flush=True)
    arguments.json.parent.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    document = {"at": datetime.now(UTC).isoformat(), "load": load, "figures": rows}
    arguments.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _table_row(row: dict[str, Any]) -> str:
    def text(value: object) -> str:
        return "" if value is None else str(value)

    return _line(
        row["figure"],
        row["unit"],
        *(text(row[name]) for name in ("ours", "baseline", "ratio", "reach")),
        "reached" if row["reached"] else "NOT reached",
    )


def _line(*cells: str) -> str:
    widths = (34, 12, 10, 10, 8, 10, 12)
    aligned = [
        cell.ljust(width) if n < 2 else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()


if __name__ == "__main__":
    main()
