"""How an authenticated `GET /v1/users/me` on MySQL compares with bare aiohttp and bare aiomysql.

`python -m tools.bench_users` prints a table; `measure` returns the figures. The service and the
baseline are a process each, over the same table of a server of this run's own; the two take
turns, and every figure is the median over the rounds, so that what else the machine does hits
both alike.
"""

import asyncio
import base64
import json
import os
import secrets
import statistics
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import aiomysql
import uvloop
from aiohttp import web

from tools.load import drive, started
from tools.mysql import MySQLServer, find_server

EMAIL: Final = "bench@clinic.example"
REACH: Final = 0.25  # of the baseline's requests a second
POOL_SIZE: Final = 10

COLUMNS: Final = (
    "id",
    "email",
    "full_name",
    "role",
    "timezone",
    "phone",
    "birth_date",
    "status",
    "version",
    "created_at",
    "updated_at",
)
SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM users WHERE id = %s"  # noqa: S608 - constants


def serve_baseline(url: str, user_id: str) -> None:
    """Be the baseline: the same SELECT, the same document, and nothing else."""
    address = urlsplit(url)

    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, date | datetime) else value

    async def get_me(request: web.Request) -> web.Response:
        async with request.app[pool].acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(SELECT, (user_id,))
            row = await cursor.fetchone()
        return web.json_response(dict(zip(COLUMNS, map(plain, row), strict=True)))

    async def open_pool(app: web.Application) -> AsyncIterator[None]:
        async with aiomysql.create_pool(
            host=address.hostname,
            port=address.port,
            user=address.username,
            password=address.password,
            db=address.path.strip("/"),
            charset="utf8mb4",
            autocommit=True,
            maxsize=POOL_SIZE,
        ) as opened:
            app[pool] = opened
            yield

    async def serve() -> None:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), flush=True)
        await asyncio.Event().wait()

    pool = web.AppKey("pool", aiomysql.Pool)
    app = web.Application()
    app.cleanup_ctx.append(open_pool)
    app.router.add_get("/v1/users/me", get_me)
    uvloop.run(serve())


async def measure(
    *, rounds: int = 7, seconds: float = 2.0, concurrency: int = 32
) -> dict[str, float]:
    """Measures the service and the baseline in turns.

    Returns:
        `users_rps`, `bare_rps` (requests a second), `users_p50_ms` … `bare_p99_ms`, and the ratio
        service ÷ baseline `rps_ratio`; all medians over the rounds.

    Raises:
        RuntimeError: neither MySQL nor MariaDB is installed, or a program didn't start.
    """
    program = find_server()
    if program is None:
        raise RuntimeError("no mysqld or mariadbd is installed")
    async with AsyncExitStack() as stack:
        server = stack.enter_context(MySQLServer(program))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        url = server.url(server.new_database())
        password = secrets.token_urlsafe()
        (folder / "password").write_text(password)
        environment = {
            "USERS_DATABASE_URL": url,
            "USERS_DATABASE_POOL_SIZE": str(POOL_SIZE),
            "USERS_SEALING_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }
        await init(folder / "password", environment)
        users = await stack.enter_async_context(started("users_service", environment=environment))
        token, user_id = await sign_in(users.port, password)
        bare = await stack.enter_async_context(
            started("tools.bench_users", "baseline", url, user_id)
        )
        request = (
            f"GET /v1/users/me HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
            f"User-Agent: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()
        ports = {"bare": bare.port, "users": users.port}
        for port in ports.values():
            await drive(port, request, concurrency=concurrency, seconds=seconds / 2)  # warm up
        results: dict[str, list[float]] = {}
        for _ in range(rounds):
            figures: dict[str, float] = {}
            for name, port in ports.items():
                driven = await drive(port, request, concurrency=concurrency, seconds=seconds)
                figures |= {f"{name}_{key}": value for key, value in driven.items()}
            figures["rps_ratio"] = figures["users_rps"] / figures["bare_rps"]
            for key, value in figures.items():
                results.setdefault(key, []).append(value)
    return {name: statistics.median(values) for name, values in results.items()}


async def init(password_file: Path, environment: dict[str, str]) -> None:
    """Make the database ready, with one account in it. Raises RuntimeError."""
    arguments = ["--admin-email", EMAIL, "--admin-name", "Bench"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "users_service", "init", *arguments),
        *("--admin-password-file", str(password_file)),
        stdout=DEVNULL,
        env={**os.environ, **environment},
    )
    if await process.wait() != 0:
        raise RuntimeError("the database could not be prepared")


async def sign_in(port: int, password: str) -> tuple[str, str]:
    """An access token, and the id of its account."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        credentials = {"email": EMAIL, "password": password}
        async with session.post("/v1/auth/login", json=credentials) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get("/v1/users/me", headers=headers) as answer:
            return token, (await answer.json())["id"]


def main() -> None:
    """Be the baseline, or measure and print the table."""
    match sys.argv[1:]:
        case ["baseline", url, user_id]:
            serve_baseline(url, user_id)
        case _:
            figures = uvloop.run(measure())
            print(f"{'':8}{'users':>12}{'bare':>12}")
            for key in ("rps", "p50_ms", "p99_ms"):
                print(f"{key:8}{figures[f'users_{key}']:12.2f}{figures[f'bare_{key}']:12.2f}")
            print(f"ratio {figures['rps_ratio']:.2f}, to reach {REACH}")


if __name__ == "__main__":
    main()
