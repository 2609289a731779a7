"""A connection of aiomysql's that is never without TLS."""

from typing import Any, Self

from aiomysql.connection import Connection
from pymysql.constants import CLIENT
from pymysql.err import OperationalError

_SSL_CONNECTION_ERROR = 2026  # CR_SSL_CONNECTION_ERROR of MySQL's own client


class VerifiedConnection(Connection):  # type: ignore[misc]  # the driver has no types
    """Refuses a server that offers no TLS.

    The driver itself goes on without: a server's greeting is not protected, so that whoever is in
    between could take the offer out of it, and be given the password next.
    """

    @classmethod
    async def opened(cls, **arguments: Any) -> Self:
        """A connection that is open, as `aiomysql.connect` makes one."""
        connection = cls(**arguments)
        await connection._connect()
        return connection

    async def _get_server_information(self) -> None:
        """The greeting; what follows is the upgrade to TLS, and then the password."""
        await super()._get_server_information()
        if not self.server_capabilities & CLIENT.SSL:
            raise OperationalError(_SSL_CONNECTION_ERROR, "the server offers no TLS")
