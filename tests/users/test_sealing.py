"""Where the sealing key comes from: the environment, Secrets Manager, or KMS."""

import base64
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from servicekit.aws import open_client
from tests.users.conftest import SEALING_KEY
from tools import environments
from tools.emulator import CREDENTIALS, Emulator
from users_service.errors import SealingKeyUnavailableError, UnreadableKeyError
from users_service.sealing import read_sealing
from users_service.service.keys import Sealing
from users_service.settings import UsersSettings

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    environment = environments.emulator()
    environments.ensure([environment])
    with Emulator(environment.python, "secretsmanager,kms") as emulator:
        yield emulator.url


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def settings(**changes: Any) -> UsersSettings:
    return UsersSettings.model_validate({"database_url": "sqlite+aiosqlite:///x", **changes})


def opens(sealing: Sealing, key: bytes) -> bool:
    try:
        return sealing.open(Sealing(key).seal(b"secret", "a"), "a") == b"secret"
    except UnreadableKeyError:
        return False


async def test_from_the_environment_with_a_previous_one() -> None:
    other = base64.urlsafe_b64encode(bytes([7] * 32)).decode()
    sealing = await read_sealing(settings(sealing_key=other, sealing_key_previous=SEALING_KEY))
    assert opens(sealing, bytes([7] * 32))
    assert opens(sealing, KEY)
    assert not opens(sealing, bytes([8] * 32))
    with pytest.raises(UnreadableKeyError):  # nothing new is sealed with the previous one
        Sealing(KEY).open(sealing.seal(b"secret", "a"), "a")


async def test_from_secrets_manager(aws: str) -> None:
    arns = []
    async with open_client("secretsmanager", endpoint=aws, region="us-east-1") as client:
        for text in (SEALING_KEY, "short"):
            made = await client.create_secret(
                Name=secrets.token_hex(8), SecretString=text, ClientRequestToken="a" * 32
            )
            arns.append(made["ARN"])
    right, wrong = (settings(sealing_secret_arn=arn, aws_endpoint=aws) for arn in arns)
    assert opens(await read_sealing(right), KEY)
    with pytest.raises(SealingKeyUnavailableError, match="32 bytes"):
        await read_sealing(wrong)
    gone = settings(sealing_secret_arn=arns[0] + "x", aws_endpoint=aws)
    with pytest.raises(SealingKeyUnavailableError, match="can't be read"):
        await read_sealing(gone)


async def test_from_kms(aws: str) -> None:
    async with open_client("kms", endpoint=aws, region="us-east-1") as client:
        key_id = (await client.create_key())["KeyMetadata"]["Arn"]
        sealed = [
            base64.b64encode(
                (await client.encrypt(KeyId=key_id, Plaintext=plain))["CiphertextBlob"]
            ).decode()
            for plain in (KEY, b"short")
        ]

    def of(text: str) -> UsersSettings:
        return settings(sealing_kms_key=key_id, sealing_ciphertext=text, aws_endpoint=aws)

    assert opens(await read_sealing(of(sealed[0])), KEY)
    with pytest.raises(SealingKeyUnavailableError, match="32 bytes"):
        await read_sealing(of(sealed[1]))
    with pytest.raises(SealingKeyUnavailableError, match="can't be read"):
        await read_sealing(of(base64.b64encode(bytes(64)).decode()))


async def test_aws_that_is_away_is_said_to_be() -> None:
    away = settings(sealing_secret_arn="arn", aws_endpoint="http://127.0.0.1:1")
    with pytest.raises(SealingKeyUnavailableError, match="can't be read"):
        await read_sealing(away)


def test_nothing_of_aws_is_loaded_where_the_key_is_in_the_environment() -> None:
    program = (
        "import asyncio, sys; from users_service.settings import UsersSettings;"
        "from users_service import app;"
        f"s = UsersSettings(database_url='sqlite+aiosqlite:///x', sealing_key='{SEALING_KEY}');"
        "asyncio.run(app.read_sealing(s)); app.open_configured_store(s);"
        "print([m for m in sys.modules if m.startswith(('boto', 'aiobo', 'aiomysql'))])"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
