"""Settings: right ones, or one clear line and exit code 2."""

from typing import Annotated

import pytest
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from servicekit.settings import HTTPURL, ServiceSettings, load_settings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="TEST_")

    workers: Annotated[int, Field(ge=1)] = 1
    region: Annotated[str, Field(validation_alias="AWS_REGION", min_length=1)] = "us-east-1"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_WORKERS", "3")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    settings = load_settings(Settings)
    assert (settings.workers, settings.region, settings.port) == (3, "eu-central-1", 0)
    assert settings.environment == "development"


def test_bad_ones_are_one_line_that_names_each_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEST_WORKERS", "hunter2")
    monkeypatch.setenv("TEST_PORT", "70000")
    monkeypatch.setenv("AWS_REGION", "")
    monkeypatch.setenv("ENVIRONMENT", "staging")
    with pytest.raises(SystemExit) as ended:
        load_settings(Settings)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("bad settings: ")
    for variable in ("TEST_WORKERS: ", "TEST_PORT: ", "AWS_REGION: ", "ENVIRONMENT: "):
        assert variable in line
    assert "hunter2" not in line  # a value may be a secret


def test_pages_are_anybodys_in_development_and_nobodys_in_production(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings().cors_origins == ("*",)
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("TEST_TOKEN_ISSUER", "https://clinic.example")
    monkeypatch.setenv("TEST_TOKEN_AUDIENCE", "clinic")
    assert Settings().cors_origins == ()
    monkeypatch.setenv("TEST_ALLOWED_ORIGINS", "https://clinic.example")
    assert Settings().cors_origins == ("https://clinic.example",)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("*", ("*",)),
        ("", ()),
        (
            "https://a.example, http://localhost:3000,",
            ("https://a.example", "http://localhost:3000"),
        ),
        (
            "http://a:443,https://a:80,http://a:8080",
            ("http://a:443", "https://a:80", "http://a:8080"),
        ),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        ("https://xn--9ca.example", ("https://xn--9ca.example",)),
    ],
)
def test_origins_are_a_list_with_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TEST_ALLOWED_ORIGINS", text)
    assert Settings().cors_origins == origins


# No browser writes one so: it would let nobody in, and say nothing.
@pytest.mark.parametrize(
    "text",
    [
        "a.example",
        "null",
        "ftp://a.example",
        "https://",
        "https://a.example/",
        "https://a.example/path",
        "https://a.example?q",
        "https://A.example",
        "https://é.example",
        "https://a.example:443",
        "http://a.example:80",
        "http://a.example:",
        "http://a.example:x",
        "https://ann@a.example",
        "https://*.a.example",
        "https://a.example\nhttps://b.example",
        "https://a.example https://b.example",
    ],
)
def test_what_no_browser_writes_is_no_origin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TEST_ALLOWED_ORIGINS", f"https://good.example,{text}")
    with pytest.raises(ValidationError, match="as browsers write it"):
        Settings()


PRODUCTION = {
    "ENVIRONMENT": "production",
    "TEST_TOKEN_ISSUER": "https://clinic.example",
    "TEST_TOKEN_AUDIENCE": "clinic",
}


class Peers(Settings):
    peer_url: HTTPURL = "http://127.0.0.1:8080"
    store_endpoint: HTTPURL | None = None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("TEST_PEER_URL", f"http://{host}:8080")
            for host in ("127.0.0.1", "127.9.9.9", "localhost", "x.localhost", "[::1]", "0.0.0.0")
        ),
        ("TEST_STORE_ENDPOINT", "http://emulator.example"),
        ("TEST_TOKEN_ISSUER", "https://issuer.localhost"),
        ("TEST_ALLOWED_ORIGINS", "https://clinic.example,*"),
        ("TEST_LOG_LEVEL", "debug"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_S3", "http://emulator.example"),
    ],
)
def test_production_refuses_what_is_of_development(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for variable, good in {**PRODUCTION, "TEST_PEER_URL": "http://users.internal"}.items():
        monkeypatch.setenv(variable, good)
    assert Peers().environment == "production"
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=f"in production {name} "):
        Peers()
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert Peers().environment == "development"


def test_production_names_all_that_it_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("TEST_LOG_LEVEL", "debug")
    monkeypatch.setenv("TEST_ALLOWED_ORIGINS", "*")
    with pytest.raises(SystemExit):
        load_settings(Peers)
    [line] = capsys.readouterr().err.splitlines()
    assert "production takes no default for TEST_TOKEN_ISSUER, TEST_TOKEN_AUDIENCE;" in line
    for name in ("TEST_LOG_LEVEL", "TEST_ALLOWED_ORIGINS", "TEST_PEER_URL"):
        assert name in line
