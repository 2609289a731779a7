"""Passwords for RDS made from the instance's own AWS credentials.

As `botocore`'s `generate_db_auth_token` makes them, without the RDS client: its service model alone
would take more memory than all else that an idle instance holds. Nothing is asked over the network
but, now and then, the credentials of the role.
"""

from typing import TYPE_CHECKING, Final

from users_service.errors import StoreUnavailableError
from users_service.store_mysql.access import PasswordSource

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

TOKEN_SECONDS: Final = 900  # what RDS allows; it counts only while a connection is made


def rds_passwords(region: str) -> PasswordSource:
    """A source of tokens: a new one for each connection, so that none is ever too old."""
    from aiobotocore.session import AioSession
    from botocore.exceptions import BotoCoreError

    session = AioSession()

    async def password(host: str, port: int, user: str) -> str:
        try:
            credentials = await session.get_credentials()
            if credentials is None:
                raise StoreUnavailableError("no AWS credentials to reach the database with")
            frozen = await credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise StoreUnavailableError(f"no AWS credentials: {error}") from error
        return token(frozen, region, host, port, user)

    return password


def token(credentials: "ReadOnlyCredentials", region: str, host: str, port: int, user: str) -> str:
    """A token for one user of one server, good for TOKEN_SECONDS."""
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    parameters = {"Action": "connect", "DBUser": user}
    request = AWSRequest("GET", f"https://{host}:{port}/", params=parameters)
    SigV4QueryAuth(credentials, "rds-db", region, expires=TOKEN_SECONDS).add_auth(request)
    return str(request.url).removeprefix("https://")
