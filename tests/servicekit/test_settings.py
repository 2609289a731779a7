"""Settings: right ones, or one clear line and exit code 2."""

from typing import Annotated

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from servicekit.settings import ServiceSettings, load_settings


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
