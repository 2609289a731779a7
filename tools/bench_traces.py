"""What tracing costs: an authenticated `GET /v1/users/me`, traced and not, in turns.

Two instances over one SQLite file; of one, every request is a trace of two spans, sent to a
collector that takes them and does nothing with them.
"""

import asyncio
import base64
import json
import secrets
import statistics
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import uvloop
from aiohttp import web

from tools.bench_users import init, sign_in
from tools.load import drive, started

REACH: Final = 0.4  # of the requests a second that an instance answers untraced
ROUNDS: Final = 5
SECONDS: Final = 2.0
CONCURRENCY: Final = 32


async def measure() -> list[dict[str, Any]]:
    """A row of requests a second: traced beside untraced, medians over the rounds."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        password = secrets.token_urlsafe()
        (folder / "password").write_text(password)
        environment = {
            "USERS_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/users.db",
            "USERS_SEALING_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }
        await init(folder / "password", environment)
        collector = await stack.enter_async_context(started("tools.bench_traces", "collector"))
        traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}"}
        programs = {
            name: await stack.enter_async_context(
                started("users_service", environment=environment | more)
            )
            for name, more in (("untraced", {}), ("traced", traces))
        }
        token, _ = await sign_in(programs["untraced"].port, password)
        request = (
            "GET /v1/users/me HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
            f"User-Agent: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()
        rates: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(ROUNDS):
            for name, program in programs.items():
                figures = await drive(
                    program.port, request, concurrency=CONCURRENCY, seconds=SECONDS
                )
                rates[name].append(figures["rps"])
    ratio = statistics.median(
        traced / untraced
        for traced, untraced in zip(rates["traced"], rates["untraced"], strict=True)
    )
    return [
        {
            "figure": "GET /v1/users/me, traced",
            "unit": "requests/s",
            "ours": round(statistics.median(rates["traced"])),
            "baseline": round(statistics.median(rates["untraced"])),
            "ratio": round(ratio, 2),
            "reach": f"≥ {REACH}",
            "reached": ratio >= REACH,
        }
    ]


def serve_collector() -> None:
    """Be a collector that forgets what it is sent."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    async def serve() -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/traces", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), flush=True)
        await asyncio.Event().wait()

    uvloop.run(serve())


def main() -> None:
    """Be the collector, or measure and print the row."""
    if sys.argv[1:] == ["collector"]:
        serve_collector()
    else:
        print(*uvloop.run(measure()))


if __name__ == "__main__":
    main()
