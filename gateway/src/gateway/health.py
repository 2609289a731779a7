"""Per-target health checks: GET /health on the traffic port, 200 is a pass."""

import asyncio
from typing import Final

from gateway.connections import Connection
from gateway.errors import BadResponseError, ConnectionClosedError
from gateway.messages import read_response
from gateway.targets import Address

HEALTH_PATH: Final = "/health"


async def check(address: Address, timeout: float) -> str | None:
    """Check a target once; returns None for a pass and otherwise the reason, in a few words."""
    loop = asyncio.get_running_loop()
    connection: Connection | None = None
    try:
        async with asyncio.timeout(timeout):
            _, connection = await loop.create_connection(
                lambda: Connection(loop), address.host, address.port
            )
            connection.write(
                f"GET {HEALTH_PATH} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
                "User-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: identity\r\n\r\n".encode()
            )
            response = await read_response(connection)
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except BadResponseError:
        return "the answer is not HTTP"
    except ConnectionClosedError as closed:
        return f"connection {closed}"
    except OSError as error:
        return f"no connection: {error.strerror or error}"
    finally:
        if connection is not None:
            connection.abort()
    return None if response.status == 200 else f"status {response.status}"
