"""What the service is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from pytest_aiohttp.plugin import AiohttpClient

from files_service.app import create_app
from files_service.settings import Settings

README = Path(__file__).resolve().parents[2] / "services" / "files" / "README.md"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "FILES_TOKEN_ISSUER": "https://clinic.example",
    "FILES_TOKEN_AUDIENCE": "clinic",
    "FILES_JWKS_URL": "https://clinic.example/.well-known/jwks.json",
    "FILES_APPOINTMENTS_URL": "https://clinic.example/",
    "FILES_BUCKET": "clinic-reports",
    "AWS_REGION": "eu-central-1",
}


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # The emulator's credentials too, which the tests of the store are given.
    for name in (*PRODUCTION, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_development_needs_none() -> None:
    settings = Settings()
    assert settings.appointments_url == "http://127.0.0.1:8080"
    assert settings.jwks_url == "http://127.0.0.1:8080/.well-known/jwks.json"
    assert settings.bucket == "reports"


def test_production_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, PRODUCTION)
    settings = Settings()
    assert settings.region == "eu-central-1"
    assert settings.appointments_url == "https://clinic.example"


@pytest.mark.parametrize("missing", sorted(set(PRODUCTION) - {"ENVIRONMENT"}))
def test_production_takes_no_default(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    set_all(monkeypatch, PRODUCTION)
    monkeypatch.delenv(missing)
    with pytest.raises(ValidationError, match=missing):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FILES_S3_ENDPOINT", "127.0.0.1:4566"),
        ("FILES_JWKS_URL", "file:///etc/passwd"),
        ("FILES_APPOINTMENTS_URL", "http://"),
        ("FILES_BUCKET", "No_Bucket"),
        ("FILES_ALLOWED_ORIGINS", "a.example"),
        ("FILES_RETENTION_DAYS", "0"),
        ("FILES_PORT", "65536"),
        ("AWS_REGION", ""),
    ],
)
def test_bad_settings_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_the_readme_lists_every_setting() -> None:
    listed = README.read_text()
    for name, info in Settings.model_fields.items():
        variable = info.validation_alias or f"FILES_{name.upper()}"
        assert f"`{variable}`" in listed, variable


async def test_in_production_browsers_are_told_to_keep_to_tls(
    aiohttp_client: AiohttpClient,
) -> None:
    settings = Settings(s3_endpoint="http://127.0.0.1:1")
    production = settings.model_copy(update={"environment": "production"})
    for told, chosen in ((True, production), (False, settings)):
        client = await aiohttp_client(create_app(chosen))
        response = await client.get("/health")
        assert ("Strict-Transport-Security" in response.headers) is told
