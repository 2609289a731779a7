"""How long `./dev up` takes when all is installed, and what an idle instance holds in memory."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tools.processes import free_port

START_SECONDS = 5.0
IDLE_MIB = 90.0


async def measure() -> list[dict[str, Any]]:
    """Rows of seconds to healthy and of MiB (resident set) of each instance; no baseline."""
    with tempfile.TemporaryDirectory() as folder:
        run = ["--run-dir", folder]
        up = [sys.executable, "-m", "tools.up", "--detach", "--port", str(free_port()), *run]
        began = time.monotonic()
        await _run(up)
        seconds = time.monotonic() - began
        try:
            suite = json.loads((Path(folder) / "suite.json").read_text())
            rows = [_row("./dev up to healthy", "s", seconds, START_SECONDS)]
            for process in suite["processes"]:
                service = process["name"].rpartition("-")[0]
                if service in suite["instances"]:
                    name = f"memory of an idle {service} instance"
                    rows.append(_row(name, "MiB", _resident_mib(process["pid"]), IDLE_MIB))
            return rows
        finally:
            down = [sys.executable, "-m", "tools.down", *run]
            await _run(down)


async def _run(command: list[str]) -> None:
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=silent, stderr=silent)
    if await process.wait():
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no resident set")


def _row(figure: str, unit: str, value: float, reach: float) -> dict[str, Any]:
    return {
        "figure": figure,
        "unit": unit,
        "ours": round(value, 1),
        "baseline": None,
        "ratio": None,
        "reach": f"≤ {reach:g} {unit}",
        "reached": value <= reach,
    }
