"""The secrets of the suite in containers: made at the first start, handed to whom they belong.

Run by docker-compose.yml in a volume. Whatever is there stays, so it may be run at every start.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import credentials
from tools.credentials import Credentials
from tools.rundir import write_private

# The ids that the Dockerfiles run as; MySQL's entrypoint reads as root.
OWNERS = {"mysql": 0, "users": 10001, "appointments": 10002, "files": 10003}

_KEY_USERS = ("appointments", "files")


def prepare(volume: Path, owners: Mapping[str, int] = OWNERS) -> None:
    """Make what is missing, and give every container a folder that only it can read.

    Raises:
        OSError: the volume can't be written, or its owners can't be set.
    """
    store = volume / "all"
    store.mkdir(mode=0o700, exist_ok=True)
    made = credentials.ensure(store, _KEY_USERS)
    passwords = {name: _password(store / f"mysql-{name}") for name in ("root", "users")}
    for name, files in _shares(made, passwords).items():
        _hand_out(volume / name, files, owners[name])


def _shares(made: Credentials, passwords: Mapping[str, str]) -> dict[str, dict[str, str]]:
    email, password = made.admin_email, made.admin_password
    keys = made.service_keys
    return {
        "mysql": {"root-password": passwords["root"], "users-password": passwords["users"]},
        "users": {
            "USERS_DATABASE_URL": f"mysql+aiomysql://users:{passwords['users']}@mysql/users",
            "USERS_SEALING_KEY": made.sealing_key,
            "admin-password": password,
            # In the shape of .run/suite.json, for what reads that.
            "suite.json": json.dumps({"admin": {"email": email, "password": password}}),
            **{f"{name}-public.pem": keys[name].public.read_text() for name in _KEY_USERS},
        },
        **{name: {"private.pem": keys[name].private.read_text()} for name in _KEY_USERS},
    }


def _password(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24) + "\n")
    return path.read_text().strip()


def _hand_out(folder: Path, files: Mapping[str, str], owner: int) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in files.items():
        write_private(folder / name, text)
        os.chown(folder / name, owner, owner)
    os.chown(folder, owner, owner)


if __name__ == "__main__":
    os.umask(0o077)
    prepare(Path(sys.argv[1]))
