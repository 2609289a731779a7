"""./dev replace against the suite in containers; needs a Docker engine and COMPOSE_TEST=1."""

import asyncio
import json
import re
import shutil
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compose.load import under_load
from tests.compose.running import Compose, run, until
from tests.e2e.test_journey import walk
from tools.containers import Container, Suite
from tools.environments import ROOT
from tools.replace.__main__ import SERVICES
from tools.replace.replacement import Replacement

pytestmark = pytest.mark.compose

NEWER = "99.0.0"
# All that images are made of, and what makes them.
SOURCES = ("libs", "services", "gateway", "tools", "dev", "docker-compose.yml", ".dockerignore")
ENOUGH = 100  # requests
Newer = Callable[..., Path]


@pytest.fixture
def newer(tmp_path: Path) -> Newer:
    """Makes sources in which these services are newer, and nothing else."""

    def make(*services: str) -> Path:
        tree = tmp_path / "newer"
        junk = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for name in SOURCES:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tree / name, ignore=junk)
            else:
                shutil.copy2(ROOT / name, tree / name)
        for service in services:
            init = tree / package(service) / "__init__.py"
            text, changed = re.subn(
                r'(?m)^__version__ = ".*"$', f'__version__ = "{NEWER}"', init.read_text()
            )
            assert changed == 1
            init.write_text(text)
        return tree

    return make


def package(service: str) -> str:
    return f"services/{service}/src/{service}_service"


def suite(compose: Compose, tree: Path = ROOT) -> Suite:
    return Suite(tree, compose.project, compose.environment)


def lives(compose: Compose, *, but: str) -> dict[str, tuple[str, str]]:
    """Each container of the others that go on running: which it is, and since when."""
    return {
        one.name: (one.id, one.started_at)
        for one in suite(compose).containers()
        if one.running and one.service != but
    }


def of(compose: Compose, service: str) -> list[Container]:
    return [one for one in suite(compose).containers() if one.service == service]


def answers(compose: Compose, service: str) -> Counter[str]:
    """How many requests of callers each version of a service has answered, by its log."""
    return Counter(
        event["version"] for event in compose.events(service) if "/v1/" in event.get("route", "")
    )


async def replace(compose: Compose, tree: Path, service: str) -> tuple[int, str]:
    """The exit code of ./dev replace in that tree, and all that it said."""
    process = await asyncio.create_subprocess_exec(
        *(tree / "dev", "replace", service, "--project", compose.project),
        cwd=tree,
        env=compose.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def test_an_old_and_a_new_version_of_each_serve_side_by_side(
    compose: Compose, newer: Newer, tmp_path: Path
) -> None:
    tree = newer(*SERVICES)
    replacements = [Replacement(suite(compose, tree), service) for service in SERVICES]
    try:
        for replacement in replacements:
            replacement.build()
            replacement.prepare()
            replacement.start()
        for replacement in replacements:
            replacement.wait_until_healthy()
        before = {service: answers(compose, service) for service in SERVICES}
        secrets = tmp_path / "suite.json"
        secrets.write_text(compose.suite_json())
        # Others than in the other test that walks here.
        script = (
            walk((ROOT / "README.md").read_text())
            .replace("grace@", "hedy@")
            .replace("ada@", "joan@")
        )
        bash = ("bash", "-eu", "-o", "pipefail", "-c", script)
        printed = run(*bash, cwd=tmp_path, SUITE=compose.gateway, SUITE_JSON=str(secrets))
        assert "All is well.\n" in printed
        for service in SERVICES:

            def both(service: str = service) -> bool:
                # The engine gets a line of a log a moment after the client its answer.
                more = answers(compose, service) - before[service]
                return len(more) == 2 and NEWER in more

            until(both)
    finally:
        for replacement in replacements:
            replacement.undo()


async def test_each_service_is_replaced_under_load_and_no_request_fails(
    compose: Compose, newer: Newer
) -> None:
    compose.up("--scale=appointments=2")
    until(lambda: compose.targets("appointments") == ["healthy"] * 2)
    admin = json.loads(compose.suite_json())["admin"]
    tree, told = newer(*SERVICES), []
    async with under_load(compose.gateway, admin) as load:
        for service in ("appointments", "users", "files"):
            others, old = lives(compose, but=service), of(compose, service)
            await load.more(ENOUGH)
            before = load.total
            code, said = await replace(compose, tree, service)
            assert code == 0, said
            told.append(f"{said}{load.total - before} requests meanwhile")
            assert load.total - before > ENOUGH
            await load.more(ENOUGH)
            assert lives(compose, but=service) == others
            new = of(compose, service)
            assert len(new) == len(old)
            assert not {one.id for one in new} & {one.id for one in old}
            assert set(answers(compose, service)) == {NEWER}
    told.append(f"answers: {dict(load.answers)}, failed: {len(load.failed)}")
    print(*told, sep="\n")  # noqa: T201 - what pytest -s shows
    assert load.failed == []
    assert compose.targets("appointments") == ["healthy"] * 2

    audit = (sys.executable, "-m", "tools.audit", "--endpoint", compose.emulator, "--json")
    report = json.loads(run(*audit))
    assert report["breaches"] == []
    assert report["seen"]["appointments"] > ENOUGH / 10

    running = lives(compose, but="")
    suite(compose, tree).compose("up", "--wait", "--scale=appointments=2")
    assert lives(compose, but="") == running  # nothing is left for `up` to make anew


def test_a_newer_build_that_does_not_start_leaves_the_older_one_at_work(
    compose: Compose, newer: Newer
) -> None:
    tree = newer("appointments")
    main = tree / package("appointments") / "__main__.py"
    text = main.read_text()
    assert "    run(lambda" in text
    main.write_text(
        text.replace("    run(lambda", '    sys.exit("no wish to serve")\n    run(lambda')
    )
    everything = suite(compose).containers()
    code, said = asyncio.run(replace(compose, tree, "appointments"))
    assert code == 1, said
    assert re.search(r"^dev: \S+-appointments-\d+.* has ended; ", said, re.MULTILINE)
    assert said.endswith("\nno wish to serve\n")
    assert suite(compose).containers() == everything
    old = of(compose, "appointments")[0]
    image = suite(compose).docker("image", "inspect", "--format={{.Id}}", old.image_name)
    assert image.strip() == old.image  # what the next `up` would take


@pytest.mark.parametrize("service", SERVICES)
def test_a_changed_line_of_a_service_is_a_new_last_layer_and_no_other(
    service: str, newer: Newer
) -> None:
    docker = Suite(ROOT).docker

    def layers(tree: Path) -> list[str]:
        file = tree / "services" / service / "Dockerfile"
        # An image of its own, whatever others are made of the same sources.
        label = f"--build-arg=VERSION=layers-{uuid.uuid4().hex}"
        image = docker("build", "--quiet", label, f"--file={file}", str(tree)).strip()
        try:
            found: list[str] = json.loads(
                docker("image", "inspect", "--format={{json .RootFS.Layers}}", image)
            )
        finally:
            docker("image", "rm", image)
        return found

    old, new = layers(ROOT), layers(newer(service))
    assert len(old) == len(new) > 4
    assert old[:-1] == new[:-1]
    assert old[-1] != new[-1]
