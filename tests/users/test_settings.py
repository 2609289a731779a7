"""What production refuses, and what goes together."""

import base64
import re
import secrets
from pathlib import Path
from typing import Any

import certifi
import pytest
from pytest_aiohttp.plugin import AiohttpClient

from servicekit.settings import load_settings
from users_service.app import create_app
from users_service.settings import UsersSettings

README = Path(__file__).parents[2] / "services" / "users" / "README.md"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "USERS_TOKEN_ISSUER": "https://clinic.example",
    "USERS_TOKEN_AUDIENCE": "clinic",
    "USERS_DATABASE_URL": "mysql+aiomysql://users@db.example/users",
    "USERS_DATABASE_TLS_CA": certifi.where(),
    "USERS_APPOINTMENTS_URL": "https://internal.example",
    "USERS_FILES_URL": "https://internal.example",
    "USERS_MAIL": "ses",
    "USERS_MAIL_FROM": "clinic@clinic.example",
    "USERS_PUBLIC_URL": "https://clinic.example/",
    "USERS_SEALING_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "AWS_REGION": "eu-central-1",
}
TYPED = base64.urlsafe_b64encode(bytes(range(32))).decode()


def set_all(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> None:
    for name, value in {**PRODUCTION, **changes}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        load_settings(UsersSettings)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"USERS_DATABASE_AUTH": "rds-iam"},
        {"USERS_REGISTRATION": "open", "USERS_MAIL": "off"},
        {"USERS_DATABASE_READ_URL": "mysql+aiomysql://users@replica.example/users"},
        {"USERS_SEALING_KEY": None, "USERS_SEALING_SECRET_ARN": "arn:aws:secretsmanager:x"},
        {
            "USERS_SEALING_KEY": None,
            "USERS_SEALING_KMS_KEY": "arn:aws:kms:x",
            "USERS_SEALING_CIPHERTEXT": "AAAA",
        },
    ],
)
def test_production_takes_these(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    set_all(monkeypatch, **changes)
    assert load_settings(UsersSettings).environment == "production"


UNSAFE = {
    "USERS_MAIL_FROM": None,
    "USERS_PUBLIC_URL": None,
    "AWS_REGION": None,
    "USERS_TOKEN_ISSUER": "https://issuer.localhost",
    "USERS_DATABASE_URL": "sqlite+aiosqlite:///users.db",
    "USERS_DATABASE_READ_URL": "sqlite+aiosqlite:///users.db",
    "USERS_DATABASE_TLS_CA": None,
    "USERS_SEALING_KEY": TYPED,
    "USERS_SEALING_KEY_PREVIOUS": "A" * 43,
    "USERS_AWS_ENDPOINT": "http://127.0.0.1:4566",
    "USERS_ALLOWED_ORIGINS": "*",
    "USERS_LOG_LEVEL": "debug",
    "USERS_ARGON2_TIME_COST": "2",
    "USERS_ARGON2_MEMORY_KIB": "65535",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
}


@pytest.mark.parametrize(("name", "value"), UNSAFE.items())
def test_production_refuses_each(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str | None,
) -> None:
    set_all(monkeypatch, **{name: value})
    assert f"in production {name} " in refusal(capsys)


def test_production_confirms_registrations_by_mail_unless_it_is_told_not_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_all(monkeypatch)
    settings = load_settings(UsersSettings)
    assert settings.confirms_registrations
    assert settings.public_url == "https://clinic.example"
    set_all(monkeypatch, USERS_MAIL="off")
    assert "in production USERS_MAIL is ses" in refusal(capsys)
    set_all(monkeypatch, USERS_REGISTRATION="open")
    assert not load_settings(UsersSettings).confirms_registrations


def test_all_that_is_refused_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_all(monkeypatch, **UNSAFE, USERS_TOKEN_AUDIENCE=None)
    line = refusal(capsys)
    for name in (*UNSAFE, "USERS_TOKEN_AUDIENCE"):
        assert name in line, name
    assert TYPED not in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"USERS_SEALING_KEY": None}, "one of USERS_SEALING_KEY"),
        ({"USERS_SEALING_SECRET_ARN": "arn"}, "no other of them"),
        ({"USERS_SEALING_CIPHERTEXT": "AAAA"}, "go together"),
        ({"USERS_DATABASE_AUTH": "rds-iam", "USERS_DATABASE_TLS_CA": None}, "_TLS_CA"),
        ({"USERS_DATABASE_TLS_CA": __file__}, "not a file with certificates"),
        ({"USERS_DATABASE_READ_URL": "postgresql://x/y"}, "USERS_DATABASE_READ_URL is"),
    ],
)
def test_what_does_not_go_together_is_refused_everywhere(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    said: str,
) -> None:
    set_all(monkeypatch, ENVIRONMENT="development", **changes)
    assert said in refusal(capsys)


def test_the_readme_lists_each_once() -> None:
    section = README.read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    listed = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    fields = UsersSettings.model_fields.items()
    names = [field.validation_alias or f"USERS_{name.upper()}" for name, field in fields]
    # What is no setting of this class: read before it, or by a library.
    others = ["SECRETS_DIR", "OTEL_EXPORTER_OTLP_ENDPOINT", "REVISION"]
    assert sorted(listed) == sorted([*map(str, names), *others])


async def test_in_production_browsers_are_told_to_keep_to_tls(
    settings: UsersSettings, aiohttp_client: AiohttpClient
) -> None:
    production = settings.model_copy(update={"environment": "production"})
    for told, chosen in ((True, production), (False, settings)):
        client = await aiohttp_client(create_app(chosen))
        response = await client.get("/health")
        assert ("Strict-Transport-Security" in response.headers) is told
