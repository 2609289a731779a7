"""Settings come from the environment, and secrets may come from files."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from servicekit.settings import ServiceSettings, load_settings


class ClinicSettings(ServiceSettings):
    """A service's settings with a secret among them."""

    model_config = SettingsConfigDict(env_prefix="CLINIC_")

    key: SecretStr


def test_a_file_of_a_variables_name_sets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "CLINIC_KEY").write_text("open sesame\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("CLINIC_PORT", "4001")
    settings = load_settings(ClinicSettings)
    assert (settings.key.get_secret_value(), settings.port) == ("open sesame", 4001)


def test_the_environment_counts_more_than_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "CLINIC_KEY").write_text("open sesame\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("CLINIC_KEY", "another")
    assert load_settings(ClinicSettings).key.get_secret_value() == "another"


def test_a_folder_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(SystemExit) as ended:
        load_settings(ClinicSettings)
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("bad settings: SECRETS_DIR: ")
    assert complaint.count("\n") == 1
