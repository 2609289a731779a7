"""`python -m users_service`, as an operator runs it."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from openapi_spec_validator import validate

from tests.users.api import PASSWORD
from tests.users.conftest import SEALING_KEY

OPENAPI_FILE = Path(__file__).parents[2] / "services" / "users" / "openapi.json"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "USERS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'users.db'}",
        "USERS_SEALING_KEY": SEALING_KEY,
        "USERS_ARGON2_TIME_COST": "1",
        "USERS_ARGON2_MEMORY_KIB": "64",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def run(
        *arguments: str, stdin: str = "", code: int = 0, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "users_service", *arguments],
            env={**environment, **changes},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


@pytest.fixture
def public_key_file(tmp_path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    path = tmp_path / "service.pem"
    path.write_bytes(
        key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return path


def rows(environment: dict[str, str], query: str) -> list[Any]:
    path = environment["USERS_DATABASE_URL"].removeprefix("sqlite+aiosqlite:///")
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def init_arguments(tmp_path: Path, key_file: Path) -> list[str]:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return [
        "init",
        *("--admin-email", "admin@clinic.example", "--admin-name", "First Admin"),
        *("--admin-password-file", str(tmp_path / "password")),
        *("--service", f"appointments={key_file}=contact:read names:read"),
        *("--service", f"files={key_file}=names:read"),
    ]


def test_init_prepares_everything_and_again_nothing(
    run: Run, environment: dict[str, str], tmp_path: Path, public_key_file: Path
) -> None:
    arguments = init_arguments(tmp_path, public_key_file)
    run(*arguments)
    query = "SELECT email, role, password_hash FROM users"
    admins = rows(environment, query)
    assert [admin[:2] for admin in admins] == [("admin@clinic.example", "admin")]
    (tmp_path / "password").write_text("another long phrase")
    run(*arguments)
    assert rows(environment, query) == admins
    services = rows(environment, "SELECT name, scope FROM services ORDER BY name")
    assert services == [("appointments", "contact:read names:read"), ("files", "names:read")]
    assert rows(environment, "SELECT generation FROM signing_keys") == [(1,)]


def test_the_commands_one_by_one(
    run: Run, environment: dict[str, str], public_key_file: Path
) -> None:
    run("migrate")
    run("migrate")
    admin = ["create-admin", "--email", "a@clinic.example", "--name", "A"]
    assert run(*admin, stdin=f"{PASSWORD}\n").stdout == "admin: created\n"
    assert run(*admin, stdin="anything").stdout == "admin: left alone\n"
    register = ["register-service", "--name", "files", "--public-key-file", str(public_key_file)]
    run(*register, "--scope", "names:read")
    run(*register, "--scope", "erase")
    assert rows(environment, "SELECT name, scope FROM services") == [("files", "erase")]


def test_what_an_operator_must_change_is_one_line(
    run: Run, tmp_path: Path, public_key_file: Path
) -> None:
    run("migrate")
    admin = ["create-admin", "--name", "A", "--email"]
    register = ["register-service", "--name", "files", "--public-key-file"]
    for arguments, stdin, said in (
        ([*admin, "nobody"], PASSWORD, "e-mail"),
        ([*admin, "a@clinic.example"], "short", "password"),
        ([*admin, "a@clinic.example"], "", "password"),
        ([*register, str(tmp_path / "nothing.pem"), "--scope", "erase"], "", "nothing.pem"),
        ([*register, str(public_key_file), "--scope", "all"], "", "scope"),
    ):
        refused = run(*arguments, stdin=stdin, code=2)
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert refused.stdout == ""


@pytest.mark.parametrize("command", [[], ["migrate"]])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("USERS_SEALING_KEY", ""),
        ("USERS_SEALING_KEY", "c2hvcnQ"),
        ("USERS_DATABASE_URL", ""),
        ("USERS_DATABASE_URL", "postgresql://x/y"),
        ("USERS_REGISTRATION", "closed"),
        ("USERS_PORT", "many"),
        ("USERS_ARGON2_MEMORY_KIB", "1"),
        ("ENVIRONMENT", "production"),
    ],
)
def test_a_bad_setting_is_one_line(run: Run, command: list[str], name: str, value: str) -> None:
    refused = run(*command, code=2, **{name: value})
    assert refused.stderr.count("\n") == 1
    assert (
        name if name != "ENVIRONMENT" else "production takes no default for USERS_TOKEN_ISSUER"
    ) in refused.stderr
    assert SEALING_KEY not in refused.stderr


def test_without_any_settings(run: Run, environment: dict[str, str]) -> None:
    for name in ("USERS_SEALING_KEY", "USERS_DATABASE_URL"):
        del environment[name]
        assert name in run(code=2).stderr


def test_another_sealing_key_is_one_line(run: Run, tmp_path: Path, public_key_file: Path) -> None:
    run(*init_arguments(tmp_path, public_key_file))
    for command in ([], ["migrate"]):
        refused = run(*command, code=2, USERS_SEALING_KEY="A" * 43)
        assert "sealing key" in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_keys_are_rotated_listed_and_retired(run: Run) -> None:
    run("migrate")
    first = run("keys", "list").stdout.splitlines()[1].split()
    assert first[1:3] == ["1", "signing"]
    assert "rotate --now" in run("keys", "retire", first[0], code=2).stderr
    assert run("keys", "rotate").stdout.startswith("published: ")
    refused = run("keys", "rotate", code=2).stderr
    assert "published already" in refused
    assert refused.count("\n") == 1
    assert "refuse its tokens" in run("keys", "rotate", "--now").stdout
    assert run("keys", "retire", first[0]).stdout == f"retired: {first[0]}\n"
    states = [line.split()[2] for line in run("keys", "list").stdout.splitlines()[1:]]
    assert states == ["retired", "old", "signing"]
    run("keys", "reseal", USERS_SEALING_KEY="A" * 43, USERS_SEALING_KEY_PREVIOUS=SEALING_KEY)
    assert "sealing key" in run("migrate", code=2).stderr


async def test_it_serves_until_it_is_told_to_stop(
    run: Run, environment: dict[str, str], tmp_path: Path, public_key_file: Path
) -> None:
    await asyncio.to_thread(run, *init_arguments(tmp_path, public_key_file))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "users_service", env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        event = json.loads(await process.stdout.readline())
        assert event["event"] == "listening"
        async with aiohttp.ClientSession(f"http://127.0.0.1:{event['port']}") as session:
            body = {"email": "admin@clinic.example", "password": PASSWORD}
            async with session.post("/v1/auth/login", json=body) as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        output = (await process.stdout.read()).decode()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert events == ["request", "draining", "stopped"]
    assert PASSWORD not in output
    assert "admin@clinic.example" not in output


def test_the_document_is_the_committed_one_and_valid(run: Run, environment: dict[str, str]) -> None:
    for name in ("USERS_DATABASE_URL", "USERS_SEALING_KEY"):
        del environment[name]
    printed = run("openapi").stdout
    assert printed == OPENAPI_FILE.read_text(), "run ./dev openapi"
    validate(json.loads(printed))


def test_an_admins_second_factor_is_removed(run: Run, environment: dict[str, str]) -> None:
    run("migrate")
    run("create-admin", "--email", "a@b.example", "--name", "x", stdin=PASSWORD)
    path = environment["USERS_DATABASE_URL"].removeprefix("sqlite+aiosqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO second_factors (user_id, sealed, created_at, confirmed_at)"
            " SELECT id, 'x', created_at, created_at FROM users"
        )
        connection.execute("INSERT INTO recovery_codes SELECT id, 'x' FROM users")
    done = run("remove-second-factor", "--email", "A@b.example")
    assert done.stdout == "second factor: removed\n"
    assert rows(environment, "SELECT * FROM second_factors") == []
    assert rows(environment, "SELECT * FROM recovery_codes") == []
    done = run("remove-second-factor", "--email", "nobody@b.example", code=2)
    assert done.stderr == "users_service: no account has this e-mail address\n"
