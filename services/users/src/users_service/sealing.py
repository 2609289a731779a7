"""Where the sealing key comes from: read once, when a process starts.

The client of AWS is imported only where the key is kept there: it takes 30 MiB, and an instance has
no other use for it.
"""

from base64 import b64decode
from typing import Any, Final

from users_service.errors import SealingKeyUnavailableError
from users_service.service.keys import Sealing
from users_service.settings import UsersSettings, decoded_key

_SECONDS: Final = 10.0


async def read_sealing(settings: UsersSettings) -> Sealing:
    """The sealing key and the previous one, if there is one.

    Raises:
        SealingKeyUnavailableError: AWS doesn't give it, or what it gives is no such key.
    """
    previous = settings.sealing_key_previous
    return Sealing(
        await _read(settings),
        None if previous is None else decoded_key(previous.get_secret_value()),
    )


async def _read(settings: UsersSettings) -> bytes:
    if settings.sealing_key is not None:
        return decoded_key(settings.sealing_key.get_secret_value())
    if settings.sealing_secret_arn is not None:
        found = await _asked(
            settings,
            "secretsmanager",
            "get_secret_value",
            SecretId=settings.sealing_secret_arn,
        )
        try:
            return decoded_key(found.get("SecretString", ""))
        except ValueError as error:
            raise SealingKeyUnavailableError(f"USERS_SEALING_SECRET_ARN's value {error}") from error
    found = await _asked(
        settings,
        "kms",
        "decrypt",
        # Named, so that what another key encrypted is refused, not opened with that key.
        KeyId=settings.sealing_kms_key,
        CiphertextBlob=b64decode(settings.sealing_ciphertext or ""),
    )
    key: bytes = found["Plaintext"]
    if len(key) != 32:
        raise SealingKeyUnavailableError("USERS_SEALING_CIPHERTEXT doesn't hold 32 bytes")
    return key


async def _asked(settings: UsersSettings, service: str, method: str, **arguments: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    from servicekit.aws import open_client

    try:
        async with open_client(
            service,
            endpoint=settings.aws_endpoint,
            region=settings.region,
            connections=1,
            read_timeout=_SECONDS,
        ) as client:
            return await getattr(client, method)(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise SealingKeyUnavailableError(f"the sealing key can't be read: {error}") from error
