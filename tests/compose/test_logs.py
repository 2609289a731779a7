"""What containers say, the stores' own too, holds no secret and nothing of anybody."""

import pytest

from tests.compose.conftest import Walked
from tests.compose.running import LONG_RUNNING, Compose
from tests.e2e.logs import JWT, SIGNED, line_faults

pytestmark = pytest.mark.compose

# What the README's walk sends of people.
PERSONAL = (
    "grace@clinic.example",
    "ada@patients.example",
    "correct horse battery",
    "a long enough password",
    "Dr. Grace",
    "Ada Example",
    "Hearts.",
    "checkup",
    "walk-",
    "All is well.",
    "report.txt",
)


def generated(compose: Compose) -> dict[str, str]:
    """Every secret, and of a private key each line, by where it is; root alone can read all."""
    command = "grep -r . /secrets/all --exclude='*public*'"
    found = {}
    for number, row in enumerate(compose("exec", "-T", "mysql", "sh", "-c", command).splitlines()):
        path, _, secret = row.partition(":")
        if len(secret) > 8 and not secret.startswith("-----"):
            found[f"{path}:{number}"] = secret
    return found


def test_no_secret_is_in_a_log_or_in_a_containers_settings(
    compose: Compose, walked: Walked
) -> None:
    said = walked.logs + compose("logs", "--no-color") + compose("config")
    for service in LONG_RUNNING:
        said += compose.inspect(service)
    secrets = generated(compose)
    names = {path.rpartition(":")[0].rpartition("/")[2] for path in secrets}
    assert names == {
        *("admin-password", "sealing-key", "mysql-root", "mysql-users"),
        *("appointments-private.pem", "files-private.pem"),
    }
    assert [name for name, secret in secrets.items() if secret in said] == []


def test_nothing_of_anybody_is_in_a_log(walked: Walked) -> None:
    assert [text for text in PERSONAL if text not in walked.script] == []
    assert all(f"{name}-1" in walked.logs for name in (*LONG_RUNNING, "users-init"))
    lines = walked.logs.splitlines()
    texts = (*PERSONAL, "admin@clinic.example")
    found = [line for line in lines if any(text.lower() in line.lower() for text in texts)]
    assert not found, found[:20]


def test_nothing_signed_is_in_a_log(walked: Walked) -> None:
    lines = walked.logs.splitlines()
    found = [line for line in lines if JWT.search(line) or SIGNED.search(line)]
    assert not found, found[:20]


@pytest.mark.parametrize("service", ["users", "appointments", "files", "gateway"])
def test_every_line_is_as_it_must_be(walked: Walked, service: str) -> None:
    lines = walked.lines[service]
    assert lines
    faults = [f"{fault}: {line}" for line in lines for fault in line_faults(line, None)]
    assert not faults, faults[:20]
