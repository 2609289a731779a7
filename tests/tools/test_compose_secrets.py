"""The secrets of the suite in containers: made once, and each service's its own."""

import json
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tools.compose_secrets import OWNERS, prepare

ME = dict.fromkeys(OWNERS, os.getuid())


def contents(volume: Path) -> dict[str, str]:
    return {
        str(path.relative_to(volume)): path.read_text()
        for path in volume.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    volume = tmp_path_factory.mktemp("secrets")
    prepare(volume, ME)
    return volume


def test_a_second_start_changes_nothing(volume: Path) -> None:
    before = contents(volume)
    prepare(volume, ME)
    assert contents(volume) == before


def test_each_gets_what_it_needs_and_nothing_else(volume: Path) -> None:
    files = {name: sorted(path.name for path in (volume / name).iterdir()) for name in OWNERS}
    assert files == {
        "mysql": ["root-password", "users-password"],
        "users": [
            "USERS_DATABASE_URL",
            "USERS_SEALING_KEY",
            "admin-password",
            "appointments-public.pem",
            "files-public.pem",
            "suite.json",
        ],
        "appointments": ["private.pem"],
        "files": ["private.pem"],
    }


def test_nobody_else_can_read_them(volume: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in volume.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in volume.iterdir()} == {0o700}


@pytest.mark.parametrize("service", ["appointments", "files"])
def test_the_public_key_that_users_gets_is_the_services(volume: Path, service: str) -> None:
    private = load_pem_private_key((volume / service / "private.pem").read_bytes(), None)
    public = load_pem_public_key((volume / "users" / f"{service}-public.pem").read_bytes())
    assert private.public_key() == public


def test_what_belongs_together_agrees(volume: Path) -> None:
    users, mysql = volume / "users", volume / "mysql"
    password = (mysql / "users-password").read_text()
    assert f"users:{password}@mysql/" in (users / "USERS_DATABASE_URL").read_text()
    assert (mysql / "root-password").read_text() != password
    admin = json.loads((users / "suite.json").read_text())["admin"]
    assert admin["password"] == (users / "admin-password").read_text()
