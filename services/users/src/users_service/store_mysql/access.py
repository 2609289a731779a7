"""How a server is reached that isn't on this machine: over verified TLS, with passing passwords."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PasswordSource = Callable[[str, int, str], Awaitable[str]]
"""The password for a host, a port and a user; asked anew for each new connection."""


@dataclass(frozen=True, slots=True)
class Access:
    """What connections need besides the address.

    Attributes:
        tls_ca: a bundle of certificates (PEM), one of which must have signed the server's, which
            must be for the very host that the address names.
        passwords: instead of the password in the address; only over TLS.

    Raises:
        ValueError: for passwords without TLS: the driver gives a password in clear to whoever asks.
    """

    tls_ca: Path | None = None
    passwords: PasswordSource | None = None

    def __post_init__(self) -> None:
        if self.passwords is not None and self.tls_ca is None:
            raise ValueError("passwords that are handed out in clear need verified TLS")

    def connect_arguments(self) -> dict[str, Any]:
        """For SQLAlchemy's `connect_args`."""
        if self.tls_ca is None:
            return {}
        # Imported with the driver, which SQLite has no use for.
        from users_service.store_mysql.tls import VerifiedConnection

        context = ssl.create_default_context(cafile=self.tls_ca)
        passwords = self.passwords

        async def connect(**arguments: Any) -> Any:
            if passwords is not None:
                place = arguments["host"], arguments.get("port", 3306), arguments["user"]
                arguments["password"] = await passwords(*place)
            return await VerifiedConnection.opened(ssl=context, **arguments)

        return {"async_creator_fn": connect}
