"""Each deployable installs alone into an empty environment, from its own pins, and serves."""

import asyncio
import base64
import json
import os
import re
import sys
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = ("jwtverify", "routetable", "servicekit", "telemetry")

DEPLOYABLES = {
    "users": ("services/users", ("jwtverify", "servicekit", "telemetry")),
    "appointments": ("services/appointments", ("jwtverify", "servicekit", "telemetry")),
    "files": ("services/files", ("jwtverify", "servicekit", "telemetry")),
    "gateway": ("gateway", ("routetable", "telemetry")),
}


async def run(*command: str | Path, **environment: str) -> bytes:
    """What a program printed; its end with another code than 0 fails the test."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaints = await process.communicate()
    assert process.returncode == 0, (printed[-2000:] + complaints[-2000:]).decode()
    return printed


async def pip(python: Path | str, *arguments: str | Path) -> None:
    await run(python, "-m", "pip", *arguments)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every package of ours, built as it would be released."""
    folder = tmp_path_factory.mktemp("wheels")
    sources = [f"./libs/{name}" for name in LIBRARIES]
    sources += [f"./{place}" for place, _ in DEPLOYABLES.values()]
    build = ("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder)
    asyncio.run(pip(sys.executable, *build, *sources))
    return folder


def wheel(wheels: Path, name: str) -> Path:
    (found,) = wheels.glob(f"{name}-*.whl")
    return found


async def installed(name: str, wheels: Path, folder: Path) -> Path:
    """The interpreter of a new environment that holds one deployable and nothing else."""
    place, libraries = DEPLOYABLES[name]
    await run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    pins = ROOT / place / "requirements.txt"
    install = ("install", "-q", "--no-deps", "--no-compile")
    await pip(python, *install, "--require-hashes", "-r", pins)
    stem = name if name == "gateway" else f"{name}_service"
    await pip(python, *install, *(wheel(wheels, part) for part in (*libraries, stem)))
    await pip(python, "check")
    return python


async def serve_and_ask(python: Path, module: str, path: str, **environment: str) -> int:
    """Starts a program on a free port, which its log tells, and asks it once."""
    process = await asyncio.create_subprocess_exec(
        python,
        "-m",
        module,
        env={"PATH": os.defpath, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        while True:
            async with asyncio.timeout(30):
                line = await process.stdout.readline()
            assert line, "it ended before it listened"
            event = json.loads(line)
            if event.get("event") == "listening":
                break
        url = f"http://127.0.0.1:{event['port']}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("name", ["appointments", "files"])
async def test_a_service_on_aws_installs_alone_and_serves(
    name: str, wheels: Path, tmp_path: Path
) -> None:
    python = await installed(name, wheels, tmp_path / "env")
    module = f"{name}_service"
    committed = (ROOT / "services" / name / "openapi.json").read_bytes()
    assert await run(python, "-m", module, "openapi") == committed
    port = {f"{name.upper()}_PORT": "0"}
    assert await serve_and_ask(python, module, "/health", **port) == 200


async def test_users_installs_alone_migrates_and_serves(wheels: Path, tmp_path: Path) -> None:
    python = await installed("users", wheels, tmp_path / "env")
    settings = {
        "USERS_PORT": "0",
        "USERS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/users.db",
        "USERS_SEALING_KEY": base64.urlsafe_b64encode(bytes(32)).decode(),
    }
    await run(python, "-m", "users_service", "migrate", **settings)
    path = "/.well-known/jwks.json"
    assert await serve_and_ask(python, "users_service", path, **settings) == 200


async def test_the_gateway_installs_alone_and_serves(wheels: Path, tmp_path: Path) -> None:
    python = await installed("gateway", wheels, tmp_path / "env")
    targets = tmp_path / "targets.json"
    targets.write_text("{}")
    settings = {"GATEWAY_PORT": "0", "GATEWAY_TARGETS_FILE": str(targets)}
    assert await serve_and_ask(python, "gateway", "/v1/doctors", **settings) == 503


async def test_jwtverify_installs_alone_and_its_readme_works(wheels: Path, tmp_path: Path) -> None:
    await run(sys.executable, "-m", "venv", tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    constraints = tmp_path / "constraints.txt"
    pins = (ROOT / "requirements" / "dev.txt").read_text()
    constraints.write_text("\n".join(re.findall(r"^[\w.-]+==\S+", pins, re.MULTILINE)))
    await pip(python, "install", "-q", "-c", constraints, wheel(wheels, "jwtverify"))
    readme = (ROOT / "libs" / "jwtverify" / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    ask = "print(asyncio.run(main('http://127.0.0.1:1/jwks', {token!r})))"
    token = ".".join(
        base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode()
        for part in ('{"alg":"RS256","typ":"at+jwt","kid":"one"}', "{}", "signature")
    )
    for given, said in (("x", "401, because it is malformed"), (token, "503, because no key")):
        program = f"import asyncio\n{example}\n{ask.format(token=given)}"
        assert (await run(python, "-c", program)).decode().startswith(said)
