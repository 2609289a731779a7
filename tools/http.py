"""The least HTTP that the supervisor and ./dev status need: one GET on 127.0.0.1."""

from __future__ import annotations

import asyncio


async def get(port: int, path: str, timeout: float = 2.0) -> tuple[int, bytes]:
    """Return the status and the body of `GET path` on 127.0.0.1; raises OSError, TimeoutError too.

    Importing a client library would cost ./dev up more time than all its requests.
    """
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            # HTTP/1.0, so that the answer ends with the connection and is never chunked.
            request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
            writer.write(request.encode())
            await writer.drain()
            head = (await reader.readline()).split(b" ", 2)
            if len(head) < 2 or not head[1].isdigit():
                raise ConnectionError("no HTTP answer")
            while (await reader.readline()).strip():
                pass
            return int(head[1]), await reader.read()
        finally:
            writer.close()


async def is_healthy(port: int, path: str = "/health") -> bool:
    """Tell whether `GET path` answers 200; raises OSError when nothing answers."""
    status, _ = await get(port, path)
    return status == 200
