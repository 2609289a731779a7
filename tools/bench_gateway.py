"""How the gateway compares with a plain aiohttp proxy of 15 lines, small JSON, same run.

`python -m tools.bench_gateway` prints a table; `measure` returns the figures. Backend, plain proxy
and gateway are a process each; this one is the client. The two proxies take turns, and every
figure is the median over the rounds, so that what else the machine does hits both alike.
"""

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

from tools.load import drive, started

PATH: Final = "/v1/users/me"
DOCUMENT: Final = {
    "id": "01J9ZK5T6N8Q2W4X7Y0A3B5C6D",
    "email": "ada@example.org",
    "full_name": "Ada Lovelace",
    "role": "patient",
    "timezone": "Europe/London",
    "status": "active",
    "version": 3,
}
# A browser's or client's usual headers.
REQUEST: Final = (
    f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
    "Accept-Encoding: gzip, deflate\r\nUser-Agent: bench\r\n"
    f"Authorization: Bearer {'x' * 600}\r\nX-Request-Id: 0123456789abcdef\r\n\r\n"
).encode()


def serve_backend() -> None:
    """Be the tiny backend: small JSON on every path."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(DOCUMENT)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    _serve(app)


def serve_plain_proxy(backend: str) -> None:
    """Be the plain proxy: what anyone writes with aiohttp in 15 lines."""

    async def pass_on(request: web.Request) -> web.Response:
        async with request.app[session].request(
            request.method,
            backend + request.path_qs,
            headers=request.headers,
            data=await request.read() if request.can_read_body else None,
        ) as answer:
            body = await answer.read()
            return web.Response(status=answer.status, body=body, content_type=answer.content_type)

    async def open_session(app: web.Application) -> AsyncIterator[None]:
        connector = TCPConnector(limit=0)
        async with ClientSession(connector=connector, cookie_jar=DummyCookieJar()) as opened:
            app[session] = opened
            yield

    session = web.AppKey("session", ClientSession)
    app = web.Application()
    app.cleanup_ctx.append(open_session)
    app.router.add_route("*", "/{path:.*}", pass_on)
    _serve(app)


def _serve(app: web.Application) -> None:
    async def serve() -> None:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), flush=True)
        await asyncio.Event().wait()

    uvloop.run(serve())


async def measure(
    *, rounds: int = 7, seconds: float = 2.0, concurrency: int = 32
) -> dict[str, float]:
    """Measure both proxies in turns.

    Returns:
        `gateway_rps`, `plain_rps` (requests a second), `gateway_p50_ms` … `plain_p99_ms`, and the
        ratios gateway ÷ plain `rps_ratio`, `p50_ratio`, `p99_ratio`; all medians over the rounds.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend = await stack.enter_async_context(started("tools.bench_gateway", "backend"))
        url = f"http://127.0.0.1:{backend.port}"
        targets = folder / "targets.json"
        targets.write_text(json.dumps({"users": [url]}))
        plain = await stack.enter_async_context(started("tools.bench_gateway", "plain", url))
        gateway = await stack.enter_async_context(
            started(
                "gateway",
                until="healthy",
                environment={"GATEWAY_PORT": "0", "GATEWAY_TARGETS_FILE": str(targets)},
            )
        )
        for program in (plain, gateway):
            await drive(
                program.port, REQUEST, concurrency=concurrency, seconds=seconds / 2
            )  # warm up
        results: dict[str, list[float]] = {}
        for _ in range(rounds):
            figures = {
                name: await drive(program.port, REQUEST, concurrency=concurrency, seconds=seconds)
                for name, program in (("plain", plain), ("gateway", gateway))
            }
            for key in ("rps", "p50_ms", "p99_ms"):
                for name in figures:
                    results.setdefault(f"{name}_{key}", []).append(figures[name][key])
                ratio = figures["gateway"][key] / figures["plain"][key]
                results.setdefault(f"{key.removesuffix('_ms')}_ratio", []).append(ratio)
    return {name: statistics.median(values) for name, values in results.items()}


def main() -> None:
    """Be one of the servers, or measure and print the table."""
    match sys.argv[1:]:
        case ["backend"]:
            serve_backend()
        case ["plain", backend]:
            serve_plain_proxy(backend)
        case _:
            figures = uvloop.run(measure())
            print(f"{'':8}{'gateway':>12}{'plain':>12}{'ratio':>8}")
            for key, unit in (("rps", ""), ("p50", "_ms"), ("p99", "_ms")):
                ours, theirs = figures[f"gateway_{key}{unit}"], figures[f"plain_{key}{unit}"]
                print(f"{key + unit:8}{ours:12.2f}{theirs:12.2f}{figures[key + '_ratio']:8.2f}")


if __name__ == "__main__":
    main()
