"""What the service is told: checked before anything starts."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pytest_aiohttp.plugin import AiohttpClient

from appointments_service.app import create_app
from appointments_service.settings import Settings
from servicekit.settings import load_settings

README = Path(__file__).resolve().parents[2] / "services" / "appointments" / "README.md"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "APPOINTMENTS_TOKEN_ISSUER": "https://clinic.example",
    "APPOINTMENTS_TOKEN_AUDIENCE": "clinic",
    "APPOINTMENTS_JWKS_URL": "https://clinic.example/.well-known/jwks.json",
    "APPOINTMENTS_USERS_URL": "https://clinic.example",
    "APPOINTMENTS_TABLE": "clinic-appointments",
    "APPOINTMENTS_CLINIC_TIMEZONE": "Europe/Berlin",
    "AWS_REGION": "eu-central-1",
}


@pytest.fixture(autouse=True)
def _no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of the store are given its credentials, which production refuses."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_development_needs_none() -> None:
    settings = Settings()
    assert (settings.table, settings.clinic_timezone) == ("appointments", "UTC")


@pytest.mark.parametrize("missing", [None, *sorted(set(PRODUCTION) - {"ENVIRONMENT"})])
def test_production_takes_no_default(monkeypatch: pytest.MonkeyPatch, missing: str | None) -> None:
    for name, value in PRODUCTION.items():
        if name != missing:
            monkeypatch.setenv(name, value)
    if missing is None:
        assert Settings().clinic_timezone == "Europe/Berlin"
        return
    with pytest.raises(ValidationError, match=missing):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APPOINTMENTS_JWKS_URL", "file:///etc/passwd"),
        ("APPOINTMENTS_USERS_URL", "users:8080"),
        ("APPOINTMENTS_DYNAMODB_ENDPOINT", "127.0.0.1:4566"),
        ("APPOINTMENTS_TABLE", "a b"),
        ("APPOINTMENTS_CLINIC_TIMEZONE", "Mars/Olympus"),
        ("APPOINTMENTS_USERS_DEADLINE_SECONDS", "0"),
        ("APPOINTMENTS_SERVICE_KEY_FILE", "/nowhere/key.pem"),
        ("APPOINTMENTS_MAIL", "smtp"),
        ("APPOINTMENTS_MAIL_FROM", "a@b.example, c@d.example"),
        ("APPOINTMENTS_MAIL_LOCALE", "tlh"),
        ("APPOINTMENTS_MAIL_LOCALE", "../../en"),
        ("APPOINTMENTS_MAIL_SENDERS", "33"),
        ("AWS_REGION", ""),
        ("APPOINTMENTS_OFFER_MINUTES", "9"),
        ("APPOINTMENTS_AUDIT_SECONDS", "-1"),
    ],
)
def test_bad_settings_are_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load_settings(Settings)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert name in line


def test_a_key_that_is_none_is_found_at_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service_key: Path
) -> None:
    monkeypatch.setenv("APPOINTMENTS_SERVICE_KEY_FILE", str(service_key))
    assert Settings().service_key_file == service_key
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n")
    monkeypatch.setenv("APPOINTMENTS_SERVICE_KEY_FILE", str(broken))
    with pytest.raises(ValidationError, match="private key in PEM"):
        Settings()


def test_mail_takes_a_key_to_ask_for_addresses_with(
    monkeypatch: pytest.MonkeyPatch, service_key: Path
) -> None:
    monkeypatch.setenv("APPOINTMENTS_MAIL", "ses")
    with pytest.raises(ValidationError, match="APPOINTMENTS_SERVICE_KEY_FILE"):
        Settings()
    monkeypatch.setenv("APPOINTMENTS_SERVICE_KEY_FILE", str(service_key))
    for locale in ("en", "de_AT", "zh_Hant_HK", "es_419"):
        assert Settings(mail_locale=locale).mail_locale == locale


@pytest.mark.parametrize("missing", ["APPOINTMENTS_MAIL_FROM", "APPOINTMENTS_PUBLIC_URL"])
def test_production_with_mail_says_who_sends_it_and_where_one_signs_in(
    monkeypatch: pytest.MonkeyPatch, service_key: Path, missing: str
) -> None:
    mail = {
        "APPOINTMENTS_MAIL": "ses",
        "APPOINTMENTS_SERVICE_KEY_FILE": str(service_key),
        "APPOINTMENTS_MAIL_FROM": "desk@clinic.example",
        "APPOINTMENTS_PUBLIC_URL": "https://clinic.example",
    }
    for name, value in {**PRODUCTION, **mail}.items():
        monkeypatch.setenv(name, value)
    assert Settings().mail == "ses"
    monkeypatch.delenv(missing)
    with pytest.raises(ValidationError, match=missing):
        Settings()
    monkeypatch.setenv("APPOINTMENTS_MAIL", "off")
    assert Settings().mail == "off"


def test_the_readme_lists_every_setting() -> None:
    listed = README.read_text()
    for name, info in Settings.model_fields.items():
        variable = str(info.validation_alias or name.upper())
        shown = variable if info.validation_alias else f"_{variable}`"
        assert shown in listed, variable


async def test_in_production_browsers_are_told_to_keep_to_tls(
    aiohttp_client: AiohttpClient,
) -> None:
    settings = Settings(dynamodb_endpoint="http://127.0.0.1:1")
    production = settings.model_copy(update={"environment": "production"})
    for told, chosen in ((True, production), (False, settings)):
        client = await aiohttp_client(create_app(chosen))
        response = await client.get("/health")
        assert ("Strict-Transport-Security" in response.headers) is told
