"""The servers that tests start for themselves."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pymysql
import pytest

from tools.environments import ROOT
from tools.mysql import MySQLServer, find_server


def test_ministack_serves_only_what_is_asked_of_it(ministack: str) -> None:
    with urllib.request.urlopen(f"{ministack}/_ministack/health") as answer:
        health = json.load(answer)
    assert sorted(health["services"]) == ["dynamodb", "s3", "ses"]


@pytest.mark.mysql
def test_each_database_is_new_and_empty(mysql_server: MySQLServer) -> None:
    first, second = mysql_server.new_database(), mysql_server.new_database()
    assert first != second
    with (
        pymysql.connect(
            host=mysql_server.host,
            port=mysql_server.port or 0,
            user=mysql_server.user,
            password=mysql_server.password,
            database=second,
        ) as connection,
        connection.cursor() as cursor,
    ):
        assert cursor.execute("SHOW TABLES") == 0


def test_no_server_is_found_where_the_named_program_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MYSQLD", str(tmp_path / "mysqld"))
    assert find_server() is None


@pytest.mark.parametrize(("ci", "code"), [("false", 0), ("true", 1)])
def test_without_a_server_its_tests_are_named_and_fail_in_ci(ci: str, code: int) -> None:
    test = f"{Path(__file__).relative_to(ROOT)}::{test_each_database_is_new_and_empty.__name__}"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env={"MYSQLD": "", "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "NOT RUN" in run.stdout
    assert run.stdout.count(test) == 1
    assert run.returncode == code


def test_the_reported_seed_repeats_a_run() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", __file__],
        cwd=ROOT,
        env={"TEST_SEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "TEST_SEED=4711" in run.stdout
